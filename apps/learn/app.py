"""The tutorials, wired together."""

from __future__ import annotations

from litestar import Litestar

from apps.learn import routes
from apps.learn.objects import Learner
from apps.web import App, create_site
from runtime import RuntimeConfig

APP = App(
    bindings={
        "learners": Learner,
        **{kind.bound: kind.cls for kinds in routes.KINDS.values() for kind in kinds},
    },
    handlers=[
        routes.index,
        routes.show_tutorial,
        routes.show_step,
        routes.act,
        routes.watch,
        routes.open_window,
    ],
)


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the tutorials as an application of their own."""
    return create_site(config or RuntimeConfig(), APP)
