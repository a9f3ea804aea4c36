"""A pan in which eggs are boiled, and everybody in the kitchen hears when one is done."""

from datetime import timedelta
from html import escape
from pathlib import Path

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectNamespace,
    Request,
    Response,
    Runtime,
)
from runtime.litestar import DurableObjectsPlugin, forward

HERE = Path(__file__).parent


class Book(DurableObject):
    """The eggs that were boiled, in any pan."""

    migrations = ("CREATE TABLE eggs (egg TEXT NOT NULL)",)

    async def write(self, egg: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO eggs VALUES (?)", egg)

    async def eggs(self) -> list[str]:
        return [row["egg"] for row in self.ctx.storage.sql.exec("SELECT egg FROM eggs")]


class Pan(DurableObject):
    migrations = (
        "CREATE TABLE pan (state TEXT NOT NULL, egg TEXT NOT NULL)",
        "INSERT INTO pan VALUES ('empty', '')",
    )

    async def boil(self, egg: str, seconds: float) -> None:
        self._become("boiling", egg)
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def state(self) -> str:
        pan = self.ctx.storage.sql.exec("SELECT state, egg FROM pan").one()
        return f"{pan['state']} {pan['egg']}".strip()

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(426, text="this is for WebSockets")
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(push(await self.state()))
        return Response.switching_protocols()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        pan = self.ctx.storage.sql.exec("SELECT egg FROM pan").one()
        await self.env.books.get_by_name("kitchen").write(pan["egg"])
        self._become("done:", pan["egg"])

    def _become(self, state: str, egg: str) -> None:
        self.ctx.storage.sql.exec("UPDATE pan SET state = ?, egg = ?", state, egg)
        self.ctx.broadcast(push(f"{state} {egg}"))


def push(state: str) -> str:
    text = escape(state)
    return f'<hx-partial hx-target="#state" hx-swap="innerHTML">{text}</hx-partial>'


Pans = NamedDependency[DurableObjectNamespace[Pan]]
Books = NamedDependency[DurableObjectNamespace[Book]]


@get("/{name:str}")
async def show(name: FromPath[str], pans: Pans, books: Books) -> Template:
    state = await pans.get_by_name(name).state()
    eggs = await books.get_by_name("kitchen").eggs()
    return Template("page.html", context={"name": name, "state": state, "eggs": eggs})


@post("/{name:str}/boil", status_code=303)
async def boil(name: FromPath[str], data: URLEncodedBody[dict[str, str]], pans: Pans) -> Redirect:
    await pans.get_by_name(name).boil(data["egg"][:40], float(data["seconds"]))
    return Redirect(f"/{name}", status_code=303)


@websocket("/{name:str}/live")
async def watch(socket: litestar.WebSocket, name: FromPath[str], pans: Pans) -> None:
    await forward(socket, to=pans.get_by_name(name))


def create_app() -> Litestar:
    runtime = Runtime(bindings={"pans": Pan, "books": Book})
    return Litestar(
        [show, boil, watch, create_static_files_router("/static", ["static"])],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
