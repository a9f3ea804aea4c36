"""A page with a number and a button."""

from pathlib import Path
from typing import Any

from litestar import Litestar, get, post
from litestar.di import NamedDependency
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.template import TemplateConfig

from runtime import DurableObject, DurableObjectNamespace, DurableObjectState, Runtime
from runtime.litestar import DurableObjectsPlugin

HERE = Path(__file__).parent


class Counter(DurableObject):
    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.count = 0

    async def add(self) -> int:
        self.count += 1
        return self.count

    async def value(self) -> int:
        return self.count


Counters = NamedDependency[DurableObjectNamespace[Counter]]


@get("/")
async def show(counters: Counters) -> Template:
    count = await counters.get_by_name("visitors").value()
    return Template("page.html", context={"count": count})


@post("/add", status_code=303)
async def add(counters: Counters) -> Redirect:
    await counters.get_by_name("visitors").add()
    return Redirect("/", status_code=303)


def create_app() -> Litestar:
    runtime = Runtime(bindings={"counters": Counter})
    return Litestar(
        [show, add],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
