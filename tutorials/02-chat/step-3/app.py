"""A room to talk in."""

from html import escape
from pathlib import Path
from urllib.parse import quote

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from runtime import DurableObject, DurableObjectNamespace, Request, Response, Runtime
from runtime.litestar import DurableObjectsPlugin, forward

HERE = Path(__file__).parent


class Room(DurableObject):
    migrations = (
        "CREATE TABLE messages (n INTEGER PRIMARY KEY, who TEXT NOT NULL, text TEXT NOT NULL)",
    )

    async def say(self, who: str, text: str) -> None:
        insert = "INSERT INTO messages (who, text) VALUES (?, ?) RETURNING n, who, text"
        message = self.ctx.storage.sql.exec(insert, who, text).one()
        self.ctx.broadcast(push(item(**message)))

    async def all(self) -> list[str]:
        last = "SELECT n, who, text FROM messages ORDER BY n DESC LIMIT 50"
        return [item(**message) for message in self.ctx.storage.sql.exec(last)][::-1]

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(426, text="this is for WebSockets")
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()


def item(n: int, who: str, text: str) -> str:
    return f'<li id="m{n}" data-n="{n}"><b>{escape(who)}</b> {escape(text)}</li>'


def push(items: str) -> str:
    return f'<hx-upsert hx-target="#log" key="data-n" sort>{items}</hx-upsert>'


Rooms = NamedDependency[DurableObjectNamespace[Room]]


@get("/{room:str}")
async def show(room: FromPath[str], rooms: Rooms, who: FromQuery[str] = "") -> Template:
    messages = await rooms.get_by_name(room).all()
    return Template("page.html", context={"room": room, "who": who, "messages": messages})


@post("/{room:str}", status_code=303)
async def say(room: FromPath[str], data: URLEncodedBody[dict[str, str]], rooms: Rooms) -> Redirect:
    await rooms.get_by_name(room).say(data["who"], data["text"])
    return Redirect(f"/{room}?who={quote(data['who'])}", status_code=303)


@websocket("/{room:str}/live")
async def listen(socket: litestar.WebSocket, room: FromPath[str], rooms: Rooms) -> None:
    await forward(socket, to=rooms.get_by_name(room))


def create_app() -> Litestar:
    runtime = Runtime(bindings={"rooms": Room})
    return Litestar(
        [show, say, listen, create_static_files_router("/static", ["static"])],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
