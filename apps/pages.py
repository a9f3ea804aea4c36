"""The one Jinja environment: pages, answers and pushes are made of the same templates."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT: Final = Path(__file__).parent.parent
TEMPLATES: Final = ROOT / "templates"
STATIC: Final = ROOT / "static"

environment: Final = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def missing_script() -> str | None:
    """Return a script that the pages need and that wasn't fetched, as a path; None if all were."""
    for template in sorted(TEMPLATES.rglob("*.html")):
        for path in re.findall(r'static\("(vendor/[^"]+)"\)', template.read_text()):
            if not (STATIC / path).is_file():
                return f"{STATIC.name}/{path}"
    return None


@cache
def static(path: str) -> str:
    """Return the URL of a static file. It changes with the file, so browsers may keep it."""
    digest = sha256((STATIC / path).read_bytes()).hexdigest()[:8]
    return f"/static/{path}?v={digest}"


environment.globals["static"] = static


def render(template: str, **context: Any) -> str:
    """Return a template filled in."""
    return environment.get_template(template).render(**context)
