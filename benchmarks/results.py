"""What was measured, and how it is shown."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

LIBRARIES = ("litestar", "uvicorn", "uvloop", "websockets", "pydantic", "apsw", "fastapi")


@dataclass(frozen=True, slots=True)
class Result:
    """Two things measured in one run, or one that nothing compares with."""

    workload: str
    what: str
    unit: str
    """Of both figures: ``1/s``, of which more is better, or a time, or a size."""
    ours: float
    """The median of the rounds, like the other one."""
    baseline: str = ""
    theirs: float | None = None
    load: float | None = None
    """The share of its core that making the load took, at most: near 1, the load was the limit."""

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs."""
        return None if self.theirs is None else self.ours / self.theirs


def percentile(figures: list[float], percent: int) -> float:
    """Return the figure below which so many are."""
    return sorted(figures)[len(figures) * percent // 100]


def about(command: str) -> dict[str, str]:
    """Return what the figures depend on."""
    cpu = "unknown"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return {
        "command": command,
        "machine": f"{os.cpu_count()} cores, {cpu}, {platform.system()}",
        "versions": f"Python {platform.python_version()}, {libraries}",
    }


def show(results: list[Result], notes: dict[str, str]) -> None:
    """Print the figures as a table, and what they depend on."""
    table = Table("", "what", "ours", "baseline", "theirs", "unit", "ratio", "load")
    for result in results:
        figures = (written(result.ours), result.baseline, written(result.theirs), result.unit)
        ratio = "" if result.ratio is None else f"[bold]{result.ratio:.2f}[/bold]"
        load = "" if result.load is None else f"{result.load:.0%}"
        table.add_row(result.workload, result.what, *figures, ratio, load)
    console = Console()
    console.print(table)
    for name, note in notes.items():
        console.print(f"[dim]{name}:[/dim] {note}", highlight=False)


def written(figure: float | None) -> str:
    """Return a figure in as many digits as mean something."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
