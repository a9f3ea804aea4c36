"""Three tickets, and a bank that takes its time."""

import asyncio
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

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
    DurableObjectState,
    Request,
    Response,
    Runtime,
    errors,
)
from runtime.litestar import DurableObjectsPlugin, forward
from runtime.patterns.outbox import Letter, Outbox

HERE = Path(__file__).parent
CAPACITY = 3


@errors.register
class SoldOut(Exception):
    """There is no ticket left."""


@errors.register
class StillPaying(Exception):
    """What comes of it isn't known yet."""


class Bank(DurableObject):
    """Somebody else's computer: half a second away."""

    migrations = (
        "CREATE TABLE charges (who TEXT NOT NULL)",
        "CREATE TABLE orders (id TEXT PRIMARY KEY, who TEXT NOT NULL, is_paid INTEGER NOT NULL)",
    )

    async def charge(self, order: str, who: str) -> bool:
        await asyncio.sleep(0.5)
        insert = "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        self.ctx.storage.sql.exec(insert, order, who, who != "Mallory")  # who has no money
        answer = "SELECT is_paid FROM orders WHERE id = ?"
        return bool(self.ctx.storage.sql.exec(answer, order).one()["is_paid"])

    async def refund(self, letter: str, order: str) -> None:
        await asyncio.sleep(0.5)
        self.ctx.storage.sql.exec("UPDATE orders SET is_paid = 0 WHERE id = ?", order)

    async def charges(self) -> list[str]:
        paid = "SELECT who FROM orders WHERE is_paid ORDER BY rowid"
        return [row["who"] for row in self.ctx.storage.sql.exec(paid)]


class Sale(DurableObject):
    """The tickets for one evening."""

    migrations = (
        "CREATE TABLE tickets (n INTEGER PRIMARY KEY, who TEXT NOT NULL)",
        "ALTER TABLE tickets ADD COLUMN held_until REAL",  # of an older version
        "ALTER TABLE tickets ADD COLUMN is_paying INTEGER NOT NULL DEFAULT 0",
        Outbox.schema(),
        "ALTER TABLE tickets ADD COLUMN key TEXT",
        "CREATE UNIQUE INDEX once ON tickets (key)",
        "ALTER TABLE tickets ADD COLUMN order_id TEXT",
    )

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._outbox = Outbox(ctx, self._pay)

    async def buy(self, key: str, who: str) -> None:
        known = "SELECT n FROM tickets WHERE key = ?"
        if self.ctx.storage.sql.exec(known, key).next() is not None:
            return  # the same request again
        if self._left() == 0:
            raise SoldOut("there is no ticket left")
        hold = "INSERT INTO tickets (key, who, is_paying) VALUES (?, ?, 1) RETURNING n"
        ticket = self.ctx.storage.sql.exec(hold, key, who).one()["n"]
        order = await self._outbox.send("bank", {"ticket": ticket, "who": who})
        self.ctx.storage.sql.exec("UPDATE tickets SET order_id = ? WHERE n = ?", order, ticket)
        self._show()

    async def cancel(self, key: str) -> None:
        find = "SELECT n, order_id, is_paying FROM tickets WHERE key = ?"
        ticket = self.ctx.storage.sql.exec(find, key).next()
        if ticket is None:
            return
        if ticket["is_paying"]:
            raise StillPaying("it is still being paid for")
        self.ctx.storage.sql.exec("DELETE FROM tickets WHERE n = ?", ticket["n"])
        await self._outbox.send("bank", {"refund": ticket["order_id"]})
        self._show()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self._outbox.alarm(invocation)

    async def _pay(self, letter: Letter) -> None:
        bank = self.env.banks.get_by_name(letter.to)
        if "refund" in letter.body:
            await bank.refund(letter.id, letter.body["refund"])
            return
        ticket, who = letter.body["ticket"], letter.body["who"]
        if await bank.charge(letter.id, who):
            self.ctx.storage.sql.exec("UPDATE tickets SET is_paying = 0 WHERE n = ?", ticket)
        else:
            self.ctx.storage.sql.exec("DELETE FROM tickets WHERE n = ?", ticket)
        self._show()

    async def tickets(self) -> list[str]:
        sold = "SELECT who FROM tickets WHERE NOT is_paying ORDER BY n"
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
        select = "SELECT who, iif(is_paying, 'is paying', 'has a ticket') AS has FROM tickets"
        rows = self.ctx.storage.sql.exec(select)
        items = "".join(f"<li>{escape(row['who'])} {row['has']}</li>" for row in rows)
        return f"<p>{self._left()} left</p><ol>{items}</ol>"


Sales = NamedDependency[DurableObjectNamespace[Sale]]


@get("/{evening:str}")
async def look(evening: FromPath[str], sales: Sales) -> Template:
    sale = await sales.get_by_name(evening).html()
    context = {"evening": evening, "sale": sale, "key": str(uuid4())}
    return Template("page.html", context=context)


@post("/{evening:str}", status_code=303)
async def buy(
    evening: FromPath[str], data: URLEncodedBody[dict[str, str]], sales: Sales
) -> Redirect:
    try:
        await sales.get_by_name(evening).buy(data["key"], data["who"][:40])
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
