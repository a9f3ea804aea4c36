"""A room to talk in."""

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectNamespace,
    DurableObjectState,
    Request,
    Response,
    Runtime,
    WebSocket,
)
from runtime.litestar import DurableObjectsPlugin, forward
from runtime.patterns.feed import Feed
from runtime.patterns.presence import Presence

HERE = Path(__file__).parent


class Room(DurableObject):
    migrations = (
        "CREATE TABLE messages (n INTEGER PRIMARY KEY, who TEXT NOT NULL, text TEXT NOT NULL)",
        Feed.schema(),
        "ALTER TABLE messages ADD COLUMN id TEXT",
        "CREATE UNIQUE INDEX once ON messages (who, id)",
    )

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._feed = Feed(ctx)
        self._presence = Presence(ctx)

    async def say(self, who: str, text: str, id: str) -> None:
        insert = """
            INSERT INTO messages (who, text, id) VALUES (?, ?, ?)
            ON CONFLICT DO NOTHING RETURNING n, who, text
        """
        message = self.ctx.storage.sql.exec(insert, who, text, id).next()
        if message is None:
            return  # it was said already
        self._feed.publish(lambda cursor: push(item(**message), cursor))

    async def all(self) -> tuple[list[str], str]:
        return self._last(), self._feed.cursor

    async def fetch(self, request: Request) -> Response:
        ws, who = request.web_socket, request.headers.get("x-who")
        if ws is None:
            return Response(426, text="this is for WebSockets")
        if not who:
            return Response(401, text="who are you?")
        self.ctx.accept_web_socket(ws, tags=[who])
        is_news = self._presence.join(ws, who)
        missed = self._feed.missed(request.query.get("since", ""))
        if missed is None:  # more than the feed keeps, or a cursor that it doesn't know
            missed = [push("".join(self._last()), self._feed.cursor)]
        for event in missed:
            ws.send(event)
        ws.send(self._people())
        self._show(is_news)
        return Response.switching_protocols()

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        self._show(await self._presence.leave(ws))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self._show(await self._presence.alarm(invocation))

    def _show(self, is_news: bool) -> None:
        if is_news:
            self.ctx.broadcast(self._people())

    def _people(self) -> str:
        names = sorted(escape(person.id) for person in self._presence.people())
        inside = ", ".join(names)
        return f'<hx-partial hx-target="#people" hx-swap="innerHTML">{inside}</hx-partial>'

    def _last(self) -> list[str]:
        last = "SELECT n, who, text FROM messages ORDER BY n DESC LIMIT 50"
        return [item(**message) for message in self.ctx.storage.sql.exec(last)][::-1]


def item(n: int, who: str, text: str) -> str:
    return f'<li id="m{n}" data-n="{n}"><b>{escape(who)}</b> {escape(text)}</li>'


def push(items: str, cursor: str) -> str:
    upsert = f'<hx-upsert hx-target="#log" key="data-n" sort data-feed="{cursor}">'
    return f"{upsert}{items}</hx-upsert>"


Rooms = NamedDependency[DurableObjectNamespace[Room]]


@get("/{room:str}")
async def show(room: FromPath[str], rooms: Rooms, who: FromQuery[str] = "") -> Template:
    messages, cursor = await rooms.get_by_name(room).all()
    context = {"room": room, "who": who, "messages": messages, "cursor": cursor}
    return Template("page.html", context={**context, "id": str(uuid4())})


@post("/{room:str}", status_code=303)
async def say(room: FromPath[str], data: URLEncodedBody[dict[str, str]], rooms: Rooms) -> Redirect:
    await rooms.get_by_name(room).say(data["who"], data["text"], data["id"])
    return Redirect(f"/{room}?who={quote(data['who'])}", status_code=303)


@websocket("/{room:str}/live")
async def listen(
    socket: litestar.WebSocket, room: FromPath[str], rooms: Rooms, who: FromQuery[str] = ""
) -> None:
    await forward(socket, to=rooms.get_by_name(room), headers={"x-who": who})


def create_app() -> Litestar:
    runtime = Runtime(bindings={"rooms": Room})
    return Litestar(
        [
            show,
            say,
            listen,
            create_static_files_router("/static", ["static"]),
            create_static_files_router("/js", [HERE / "js"]),
        ],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
