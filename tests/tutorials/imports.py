"""What the steps import: once, in a process that runs many of them."""

from __future__ import annotations

from importlib import import_module

for _module in (
    "litestar.plugins.jinja",
    "litestar.static_files",
    "litestar.template",
    "litestar.testing",
    "runtime.litestar",
    "runtime.patterns.feed",
    "runtime.patterns.outbox",
    "runtime.patterns.letterbox",
    "runtime.patterns.presence",
    "runtime.patterns.rate_limit",
    "runtime.testing",
):
    import_module(_module)
