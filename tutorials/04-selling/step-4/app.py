"""Three tickets, and a bank that takes its time."""

import asyncio
from html import escape
from pathlib import Path

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
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
    errors,
)
from runtime.litestar import DurableObjectsPlugin, forward

HERE = Path(__file__).parent
CAPACITY = 3
HOLD_SECONDS = 300


@errors.register
class SoldOut(Exception):
    """There is no ticket left."""


class Bank(DurableObject):
    """Somebody else's computer: half a second away."""

    migrations = ("CREATE TABLE charges (who TEXT NOT NULL)",)

    async def charge(self, who: str) -> None:
        await asyncio.sleep(0.5)
        self.ctx.storage.sql.exec("INSERT INTO charges VALUES (?)", who)

    async def charges(self) -> list[str]:
        return [row["who"] for row in self.ctx.storage.sql.exec("SELECT who FROM charges")]


class Sale(DurableObject):
    """The tickets for one evening."""

    migrations = (
        "CREATE TABLE tickets (n INTEGER PRIMARY KEY, who TEXT NOT NULL)",
        "ALTER TABLE tickets ADD COLUMN held_until REAL",  # NULL once it is paid
    )

    async def buy(self, who: str) -> None:
        if self._left() == 0:
            raise SoldOut("there is no ticket left")
        hold = """
            INSERT INTO tickets (who, held_until) VALUES (?, unixepoch('subsec') + ?) RETURNING n
        """
        ticket = self.ctx.storage.sql.exec(hold, who, HOLD_SECONDS).one()["n"]
        await self._wake_for_holds()
        self._show()
        await self.env.banks.get_by_name("bank").charge(who)
        self.ctx.storage.sql.exec("UPDATE tickets SET held_until = NULL WHERE n = ?", ticket)
        self._show()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self.ctx.storage.sql.exec("DELETE FROM tickets WHERE held_until <= unixepoch('subsec')")
        await self._wake_for_holds()
        self._show()

    async def _wake_for_holds(self) -> None:
        first = "SELECT min(held_until) AS first FROM tickets"
        if (when := self.ctx.storage.sql.exec(first).one()["first"]) is not None:
            await self.ctx.storage.set_alarm(when)

    async def tickets(self) -> list[str]:
        sold = "SELECT who FROM tickets WHERE held_until IS NULL ORDER BY n"
        return [row["who"] for row in self.ctx.storage.sql.exec(sold)]

    async def html(self) -> str:
        return self._html()

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(426, text="this is for WebSockets")
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(self._push())
        return Response.switching_protocols()

    def _left(self) -> int:
        taken = self.ctx.storage.sql.exec("SELECT count(*) AS n FROM tickets").one()["n"]
        return CAPACITY - int(taken)

    def _show(self) -> None:
        self.ctx.broadcast(self._push())

    def _push(self) -> str:
        return f'<hx-partial hx-target="#sale" hx-swap="innerHTML">{self._html()}</hx-partial>'

    def _html(self) -> str:
        select = "SELECT who, iif(held_until, 'is paying', 'has a ticket') AS has FROM tickets"
        rows = self.ctx.storage.sql.exec(select)
        items = "".join(f"<li>{escape(row['who'])} {row['has']}</li>" for row in rows)
        return f"<p>{self._left()} left</p><ol>{items}</ol>"


Sales = NamedDependency[DurableObjectNamespace[Sale]]


@get("/{evening:str}")
async def look(evening: FromPath[str], sales: Sales) -> Template:
    sale = await sales.get_by_name(evening).html()
    return Template("page.html", context={"evening": evening, "sale": sale})


@post("/{evening:str}", status_code=303)
async def buy(
    evening: FromPath[str], data: URLEncodedBody[dict[str, str]], sales: Sales
) -> Redirect:
    try:
        await sales.get_by_name(evening).buy(data["who"][:40])
    except SoldOut as refusal:
        raise ClientException(str(refusal), status_code=409) from refusal
    return Redirect(f"/{evening}", status_code=303)


@websocket("/{evening:str}/live")
async def watch(socket: litestar.WebSocket, evening: FromPath[str], sales: Sales) -> None:
    await forward(socket, to=sales.get_by_name(evening))


def create_app() -> Litestar:
    runtime = Runtime(bindings={"sales": Sale, "banks": Bank})
    return Litestar(
        [look, buy, watch, create_static_files_router("/static", ["static"])],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
