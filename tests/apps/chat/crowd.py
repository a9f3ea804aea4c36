"""Fifty people in one room, over a bad network: what each window shows is what the room holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from apps.chat import views
from apps.chat.domain import ChatRefusal, Message, NotAllowed, NotThere, Outdated, Person
from apps.chat.objects import ChatRoom
from runtime.testing import Client, ClientSocket, Operation, Scenario, Violation, checkers
from tests.apps.chat.windows import BINDINGS

TRIES: Final = 4  # to do something
READER: Final = Person("reader", "Reader")
_EVENT: Final = re.compile(r"<(hx-upsert|hx-partial)\b(.*?)>(.*?)</\1>", re.DOTALL)
_CURSOR: Final = re.compile(r'data-feed="([^"]*)"')
_ITEM: Final = re.compile(r'(?=<li id="message-(\d+)")')


class Crowding(Scenario):
    """People say things, change them, react, and look elsewhere. Each client is two of them."""

    bindings: ClassVar = BINDINGS
    clients = 25
    steps = 3
    faults = 8
    refusals: ClassVar[tuple[type[Exception], ...]] = (NotAllowed, NotThere, Outdated, ChatRefusal)

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    async def step(self, client: Client) -> None:
        for name in (f"{client.name}1", f"{client.name}2"):
            window = self._windows.setdefault(name, Window(client, name))
            await window.listen()
            await self._act(client, window)

    async def _act(self, client: Client, window: Window) -> None:
        room, person, chance = _room(client), window.person, client.random
        newest = max(window.shows(), default=1)
        match chance.choices(["post", "edit", "delete", "react", "say"], [6, 2, 1, 3, 2])[0]:
            case "post":
                said = f"{person.name}-{chance.randrange(10**6)}"
                await _insist(client, "post", said, lambda: room.post(person, said, said))
            case "edit":
                text = f"changed {chance.randrange(10**6)}"
                await _insist(client, "edit", newest, lambda: room.edit(person, newest, text, 0))
            case "delete":
                await _insist(client, "delete", newest, lambda: room.delete(person, newest))
            case "react":
                kind, is_on = chance.choice(["heart", "party"]), chance.random() < 0.8
                await _insist(
                    client, "react", newest, lambda: room.react(person, newest, kind, is_on=is_on)
                )
            case "say":
                await window.say(chance.choice(["typing", "away", "here", f"read {newest}"]))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(5)  # letters are delivered
        found = [message async for message in _everything(client)]
        ids = [message.client_id for message in found]
        checkers.exactly_once(history, ids, "post")
        checkers.no_lost_acknowledgement(history, ids, "post")
        for window in self._windows.values():
            await window.listen()
        last = await _room(client).post(READER, "the-last", "good night")
        await client.sleep(5)
        found = [message async for message in _everything(client)]
        for window in self._windows.values():
            window.check(found)
        rooms = await client.env.directory.get_by_name("all").rooms()
        if [(listing.room, listing.messages) for listing in rooms] != [("a", last.seq)]:
            raise Violation(f"the directory has {rooms}")


class Window:
    """One window on the room, which does with pushes as the page does."""

    def __init__(self, client: Client, name: str) -> None:
        self.person = Person(name, name)
        self._client = client
        self._socket: ClientSocket | None = None
        self._cursor: str | None = None
        self._shown: dict[int, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether its socket is."""
        return self._socket is not None and self._socket.closed is None

    async def listen(self) -> None:
        """Have a socket open, unless that doesn't succeed."""
        self.shows()
        if self.is_open:
            return
        query = "?since=" if self._cursor is None else f"?since={self._cursor}"
        headers = {"x-person-id": self.person.id, "x-person-name": self.person.name}
        self._socket = await self._client.connect(
            _room(self._client), f"/chat/a/ws{query}", headers=headers
        )

    async def say(self, frame: str) -> None:
        """Say something on the socket, if it is open."""
        if self._socket is not None and self._socket.closed is None:
            await self._socket.send(frame)

    def shows(self) -> dict[int, str]:
        """Return what it shows of each message, by its number."""
        while self._socket is not None and self._socket.received:
            self._apply(str(self._socket.received.popleft()))
        return self._shown

    def check(self, held: Sequence[Message]) -> None:
        """Raise unless it shows the room's last messages as they are."""
        if not self.is_open:
            return
        shown = self.shows()
        expected = {message.seq: _item(message) for message in held}
        seqs = sorted(shown)
        if not seqs or seqs != list(range(seqs[0], held[-1].seq + 1)):
            raise Violation(f"{self.person.name} shows {seqs}, and there are {len(held)}")
        for seq in seqs:
            if shown[seq] != expected[seq]:
                raise Violation(f"{self.person.name} shows {shown[seq]}, not {expected[seq]}")

    def _apply(self, push: str) -> None:
        for kind, attributes, content in _EVENT.findall(push):
            items = _items(content)
            if kind == "hx-upsert":
                self._shown |= items
            elif 'hx-target="#messages"' in attributes:
                self._shown = items
            else:
                self._shown |= {seq: item for seq, item in items.items() if seq in self._shown}
            for cursor in _CURSOR.findall(attributes):
                self._cursor = cursor


def _room(client: Client) -> ChatRoom:
    room: ChatRoom = client.env.rooms.get_by_name("a")
    return room


async def _insist(client: Client, action: str, value: Any, function: Any) -> None:
    """Do something, again if it isn't known whether it was done."""
    for _ in range(TRIES):
        asked = await client.call(action, value, function)
        if asked.outcome != "unknown":
            return
        await client.sleep(client.random.expovariate(10))


async def _everything(client: Client) -> Any:
    page = await _room(client).history(READER, after=0, limit=100)
    while page:
        for message in page:
            yield message
        page = await _room(client).history(READER, after=page[-1].seq, limit=100)


def _items(content: str) -> dict[int, str]:
    """Return the messages in a push, by their numbers."""
    found = [(item.start(), int(item[1])) for item in _ITEM.finditer(content)]
    ends = [*(start for start, _ in found), len(content)][1:]
    return {seq: content[start:end].strip() for (start, seq), end in zip(found, ends, strict=True)}


def _item(message: Message) -> str:
    return _items(_EVENT.findall(views.new_message(message, ""))[0][2])[message.seq]
