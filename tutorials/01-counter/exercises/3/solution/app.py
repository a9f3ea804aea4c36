"""Pages with a number and a button."""

from pathlib import Path

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from runtime import DurableObject, DurableObjectNamespace, Request, Response, Runtime
from runtime.litestar import DurableObjectsPlugin, forward
from runtime.patterns.rate_limit import RateLimit

HERE = Path(__file__).parent


class Counter(DurableObject):
    migrations = (
        "CREATE TABLE tally (count INTEGER NOT NULL)",
        "INSERT INTO tally VALUES (0)",
        RateLimit.schema(),
    )

    async def add(self) -> int:
        if wait := RateLimit(self.ctx, per_second=5, burst=5).take():
            raise ValueError(f"that was too quick; in {wait:.1f} s again")
        add = "UPDATE tally SET count = count + 1 RETURNING count"
        count = int(self.ctx.storage.sql.exec(add).one()["count"])
        self.ctx.broadcast(push(count))
        return count

    async def value(self) -> int:
        return int(self.ctx.storage.sql.exec("SELECT count FROM tally").one()["count"])

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(426, text="this is for WebSockets")
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(push(await self.value()))
        return Response.switching_protocols()


def push(count: int) -> str:
    return f'<hx-partial hx-target="#count" hx-swap="innerHTML">{count}</hx-partial>'


Counters = NamedDependency[DurableObjectNamespace[Counter]]


@get("/{name:str}")
async def show(name: FromPath[str], counters: Counters) -> Template:
    count = await counters.get_by_name(name).value()
    return Template("page.html", context={"name": name, "count": count})


@post("/{name:str}/add", status_code=303)
async def add(name: FromPath[str], counters: Counters) -> Redirect:
    await counters.get_by_name(name).add()
    return Redirect(f"/{name}", status_code=303)


@websocket("/{name:str}/live")
async def watch(socket: litestar.WebSocket, name: FromPath[str], counters: Counters) -> None:
    await forward(socket, to=counters.get_by_name(name))


@get("/{name:str}/awake")
async def awake(request: litestar.Request, name: FromPath[str], counters: Counters) -> str:
    runtime = DurableObjectsPlugin.of(request.app).runtime
    return "\n".join(runtime.why_awake(counters.get_by_name(name))) or "asleep"


def create_app() -> Litestar:
    runtime = Runtime(bindings={"counters": Counter})
    return Litestar(
        [show, add, watch, awake, create_static_files_router("/static", ["static"])],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
