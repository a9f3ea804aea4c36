"""Pages with a number and a button."""

from pathlib import Path

from litestar import Litestar, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.template import TemplateConfig

from runtime import DurableObject, DurableObjectNamespace, Runtime
from runtime.litestar import DurableObjectsPlugin

HERE = Path(__file__).parent


class Counter(DurableObject):
    migrations = (
        "CREATE TABLE tally (count INTEGER NOT NULL)",
        "INSERT INTO tally VALUES (0)",
    )

    async def add(self) -> int:
        add = "UPDATE tally SET count = count + 1 RETURNING count"
        return int(self.ctx.storage.sql.exec(add).one()["count"])

    async def value(self) -> int:
        return int(self.ctx.storage.sql.exec("SELECT count FROM tally").one()["count"])


Counters = NamedDependency[DurableObjectNamespace[Counter]]


@get("/{name:str}")
async def show(name: FromPath[str], counters: Counters) -> Template:
    count = await counters.get_by_name(name).value()
    return Template("page.html", context={"name": name, "count": count})


@post("/{name:str}/add", status_code=303)
async def add(name: FromPath[str], counters: Counters) -> Redirect:
    await counters.get_by_name(name).add()
    return Redirect(f"/{name}", status_code=303)


def create_app() -> Litestar:
    runtime = Runtime(bindings={"counters": Counter})
    return Litestar(
        [show, add],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
