"""People who talk in a chat room: the app itself, and three that are wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

from apps.chat import store, views
from apps.chat.domain import Message, Person
from apps.chat.objects import ChatRoom, RoomDirectory, UserInbox
from runtime.checkers import (
    Operation,
    Violation,
    exactly_once,
    no_lost_acknowledgement,
    total_order,
)
from runtime.loopback import ClientSocket
from runtime.scenario import Client, Scenario

READER: Final = Person("r", "Reader")
TRIES: Final = 4  # to say something
PUSHED: Final = re.compile(r'data-client-id="([^"]*)"')
AROUND: Final[dict[str, type]] = {"directory": RoomDirectory, "inboxes": UserInbox}
CURSOR: Final = re.compile(r'data-feed="([^"]*)"')


class RepeatingRoom(ChatRoom):
    """Takes a message that is sent again for another one."""

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        copies = self.ctx.storage.sql.exec("SELECT count(*) AS n FROM messages").one()["n"]
        message = store.append(self.ctx.storage.sql, author, f"{client_id}.{copies}", text)
        self._feed.publish(partial(views.new_message, message))
        return message


class HastyRoom(ChatRoom):
    """Answers before it has stored anything."""

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        self.ctx.wait_until(self._store(author, client_id, text))
        return Message(0, client_id, author, text, None)  # type: ignore[arg-type]

    async def _store(self, author: Person, client_id: str, text: str) -> None:
        await asyncio.sleep(0.05)
        await super().post(author, client_id, text)


class ForgetfulRoom(ChatRoom):
    """Tells those who are there, and keeps nothing for those who come back."""

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        sql = self.ctx.storage.sql
        message = store.sent_before(sql, author, client_id)
        if message is None:
            message = store.append(sql, author, client_id, text)
            self.ctx.broadcast(views.new_message(message, self._feed.cursor))
        return message


class SilentRoom(ChatRoom):
    """Keeps what is said, and tells nobody who is there."""

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        sql = self.ctx.storage.sql
        said_before = store.sent_before(sql, author, client_id)
        return said_before or store.append(sql, author, client_id, text)


class Chatting(Scenario):
    """People say things, again if they don't know whether they were heard, and listen."""

    bindings: ClassVar = AROUND | {"rooms": ChatRoom}
    steps = 6

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    async def step(self, client: Client) -> None:
        listener = self._listeners.setdefault(client.name, Listener(client))
        await listener.listen()
        person = Person(client.name, client.name)
        said = f"{client.name}{client.random.randrange(10**6)}"
        room = client.env.rooms.get_by_name("a")
        for _ in range(TRIES):
            asked = await client.call("post", said, lambda: room.post(person, said, said))
            if asked.outcome != "unknown":
                return
            await client.sleep(client.random.expovariate(10))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(1)
        room = client.env.rooms.get_by_name("a")
        found = [message.client_id for message in await room.history(READER, limit=200)]
        exactly_once(history, found, "post")
        no_lost_acknowledgement(history, found, "post")
        await self._hear_the_end(client)
        found = [message.client_id for message in await room.history(READER, limit=200)]
        total_order({name: heard.feed() for name, heard in self._listeners.items()}, found)

    async def _hear_the_end(self, client: Client) -> None:
        """Have everybody listen, and see that they hear the last message."""
        for listener in self._listeners.values():
            await listener.listen()
        last = Person("z", "z")
        await client.env.rooms.get_by_name("a").post(last, "the last", "good night")
        await client.sleep(1)
        for name, listener in self._listeners.items():
            if listener.is_open and listener.feed()[-1:] != ["the last"]:
                raise Violation(f"{name} hears nothing more: {listener.feed()}")


class Listener:
    """One window on the room: it comes back, and asks for what it has missed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._cursor: str | None = None
        self._heard: list[str] = []
        self._socket: ClientSocket | None = None

    async def listen(self) -> None:
        """Have a socket open, unless that doesn't succeed."""
        if self.is_open:
            return
        self._take()
        query = "" if self._cursor is None else f"?since={self._cursor}"
        self._socket = await self._client.connect(
            self._client.env.rooms.get_by_name("a"),
            f"/chat/a/ws{query}",
            headers={"x-person-id": self._client.name, "x-person-name": self._client.name},
        )

    @property
    def is_open(self) -> bool:
        """Whether its socket is."""
        return self._socket is not None and self._socket.closed is None

    def feed(self) -> list[str]:
        """Return what it has heard, without what came again, as the page would have it."""
        self._take()
        return list(dict.fromkeys(self._heard))

    def _take(self) -> None:
        while self._socket is not None and self._socket.received:
            push = str(self._socket.received.popleft())
            if "<hx-partial" in push and "data-feed" in push:
                raise Violation(f"{self._client.name} was shown everything anew: {push}")
            self._heard += PUSHED.findall(push)
            for cursor in CURSOR.findall(push):
                self._cursor = cursor


class ChattingTwice(Chatting):
    """The same, where what is sent again is taken for something new."""

    bindings: ClassVar = AROUND | {"rooms": RepeatingRoom}

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        messages = await client.env.rooms.get_by_name("a").history(READER, limit=200)
        found = [message.client_id.partition(".")[0] for message in messages]
        exactly_once(history, found, "post")


class ChattingHastily(Chatting):
    """The same, where an answer promises too much."""

    bindings: ClassVar = AROUND | {"rooms": HastyRoom}

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(1)
        messages = await client.env.rooms.get_by_name("a").history(READER, limit=200)
        no_lost_acknowledgement(history, [message.client_id for message in messages], "post")


class ChattingForgetfully(Chatting):
    """The same, where whoever was away has missed it."""

    bindings: ClassVar = AROUND | {"rooms": ForgetfulRoom}

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        messages = await client.env.rooms.get_by_name("a").history(READER, limit=200)
        feeds = {name: heard.feed() for name, heard in self._listeners.items()}
        total_order(feeds, [message.client_id for message in messages])


class ChattingInSilence(Chatting):
    """The same, where nobody hears anything."""

    bindings: ClassVar = AROUND | {"rooms": SilentRoom}


SCENARIOS: Final[tuple[Any, ...]] = (Chatting,)
BROKEN: Final[tuple[Any, ...]] = (
    ChattingTwice,
    ChattingHastily,
    ChattingForgetfully,
    ChattingInSilence,
)
