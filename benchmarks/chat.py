"""What a message costs in the chat itself, beside a bare broadcast of as many bytes: W4-CHAT."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from apps.chat import views
from apps.chat.domain import Message, Person
from apps.chat.store.rows import moment
from apps.identity import COOKIE, Guest, Tokens
from benchmarks.crowd import Crowd
from benchmarks.messages import IN_FLIGHT, MEMBERS, SETTLE_SECONDS, deliveries
from benchmarks.processes import Effort, Server, raise_file_limit, serving
from benchmarks.results import Result

WARM_UP_MESSAGES = 110  # from "100 unread or more" on, no inbox is told of each
WARM_UP_SECONDS = 25  # until all inboxes have been told
TALKERS = 100  # members who speak in turn, so that none of them is too quick
TEXT = "A message that is as long as they are in a chat: about eighty characters, I think."

Step = Callable[[], object]


class BySocket:
    """A crowd in the room of W4, where one of them says everything on their socket."""

    def __init__(self, server: Server, crowd: Crowd) -> None:
        self.rates: list[float] = []
        """Of each round: deliveries in a second."""
        self.costs: list[float] = []
        """Of each round: milliseconds of the server's CPU for a message to everybody."""
        self._server = server
        self._crowd = crowd

    async def measure(self, seconds: float, effort: Effort) -> None:
        """Have as much said as the server can take."""
        received, used = self._crowd.received, self._server.cpu_seconds()
        self.rates.append(await self._flat_out(seconds, effort))
        messages = (self._crowd.received - received) / len(self._crowd.members)
        self.costs.append((self._server.cpu_seconds() - used) / messages * 1000)

    async def _flat_out(self, seconds: float, effort: Effort) -> float:
        return await deliveries(self._crowd, seconds, effort)


class ByPost(BySocket):
    """The same, said by POST."""

    def __init__(self, server: Server, crowd: Crowd, request: Callable[[int], bytes]) -> None:
        super().__init__(server, crowd)
        self._request = request
        self._numbers = count()
        self._is_over = True

    async def warm_up(self, effort: Effort) -> None:
        """Have the room be one in which much has been said, which everybody's inbox knows."""
        while self._crowd.received < WARM_UP_MESSAGES * len(self._crowd.members):
            await self._flat_out(1, effort)
        await asyncio.sleep(WARM_UP_SECONDS)

    async def _flat_out(self, seconds: float, effort: Effort) -> float:
        before, self._is_over = self._crowd.received, False
        talking = [asyncio.create_task(self._talk()) for _ in range(IN_FLIGHT)]
        effort.begin()
        await asyncio.sleep(seconds)
        elapsed, arrived = effort.end(), self._crowd.received - before
        self._is_over = True
        said = sum(await asyncio.gather(*talking))
        await self._crowd.have_received(before + said * len(self._crowd.members))
        return arrived / elapsed

    async def _talk(self) -> int:
        """Say one thing after another, and return how many."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        said = 0
        while not self._is_over:
            writer.write(self._request(next(self._numbers)))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 2"), head.decode()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            said += 1
        writer.close()
        return said


async def w4_chat(rounds: int, seconds: float, step: Step, *, transport: str) -> list[Result]:
    """The same crowd in the chat's own room, where they speak by POST, and in the room of W4."""
    raise_file_limit()
    effort = Effort()
    command = "benchmarks.rooms", "--ws", transport
    push = _push()
    async with contextlib.AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cookies = _cookies(data)
        plain = await stack.enter_async_context(serving(*command))
        full = await stack.enter_async_context(serving(*command, "--chat", data=data))
        crowds = Crowd(plain.port, push), Crowd(plain.port, push), Crowd(full.port, b"", b"<hx-up")
        for crowd in crowds:
            stack.callback(crowd.leave)
        bare, posted, chat = crowds
        await bare.join(["/rooms/hall"] * MEMBERS)
        await posted.join(["/rooms/post"] * MEMBERS)
        await chat.join(["/chat/hall/ws"] * MEMBERS, cookies)
        ours = ByPost(full, chat, lambda number: _say(number, cookies[number % TALKERS]))
        theirs = {
            "bare broadcast by POST": ByPost(plain, posted, lambda _: _post("/rooms/post", push)),
            "bare broadcast": BySocket(plain, bare),
        }
        await ours.warm_up(Effort())
        for _ in range(rounds):
            for side in (*theirs.values(), ours):
                await asyncio.sleep(SETTLE_SECONDS)
                await side.measure(seconds, effort)
                step()
    results = []
    for name, other in theirs.items():
        rate, its_rate = (statistics.median(side.rates) for side in (ours, other))
        cost, its_cost = (statistics.median(side.costs) for side in (ours, other))
        what = f"deliveries to {MEMBERS:,} members"
        results.append(Result("W4-CHAT", what, "1/s", rate, name, its_rate, effort.most))
        what = f"a message to {MEMBERS:,}, the server's CPU"
        results.append(Result("W4-CHAT", what, "ms", cost, name, its_cost))
    return results


def _say(number: int, cookie: str) -> bytes:
    """Return what the page sends for a message."""
    body = urlencode({"client_id": f"message-{number:08}", "text": TEXT}).encode()
    return _post(
        "/chat/hall/messages",
        body,
        f"Cookie: {cookie}\r\nHX-Request: true\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n",
    )


def _post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _cookies(data: Path) -> list[str]:
    """Return the cookies of as many guests as there are members, of the server with that folder."""
    tokens = Tokens.kept_in(data / "secret")
    guests = (Guest(id=f"{number:016x}", name=f"Guest {number}") for number in range(MEMBERS))
    return [f"{COOKIE}={tokens.issue(guest)}" for guest in guests]


def _push() -> bytes:
    """Return what the chat sends to each member for a message."""
    author = Person("0" * 16, "Guest 100")
    message = Message(1000, f"message-{0:08}", author, TEXT, moment(0))
    return views.new_message(message, "1000-01234567").encode()
