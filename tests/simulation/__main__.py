"""``python -m tests.simulation``: run the scenarios with many seeds, and see what doesn't hold."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table

from runtime.simulation import SimulationFailed, simulate
from tests.simulation import (
    bells,
    games,
    ledgers,
    letters,
    matches,
    registers,
    rooms,
    sales,
    stocks,
)

# What takes long comes first, so that all processors end together.
MODULES: Final = (sales, games, rooms, bells, stocks, ledgers, letters, matches, registers)
SOUND: Final = {cls.__name__: cls for module in MODULES for cls in module.SCENARIOS}
BROKEN: Final = {cls.__name__: cls for module in MODULES for cls in module.BROKEN}
EVERY: Final[dict[str, Any]] = {**SOUND, **BROKEN}
CHUNK: Final = 5  # seeds that a process does at a time
ENOUGH: Final = 100  # for what is broken


@dataclass(slots=True)
class Finding:
    """What many seeds have come to, in one scenario."""

    scenario: str
    is_sound: bool
    seeds: int = 0
    failed: int = 0
    first: int | None = None
    """The lowest seed that has failed."""
    told: str = ""
    """What that one has found, at its shortest; if that was asked for, or is a surprise."""

    @property
    def is_as_it_should(self) -> bool:
        """Whether it has found nothing, or something if there is something."""
        return bool(self.failed) != self.is_sound


def failing(name: str, seeds: range) -> list[int]:
    """Run a scenario with some seeds, and return those that fail."""
    return [seed for seed in seeds if told(name, seed, tries=0)]


def told(name: str, seed: int, *, only: str | None = None, tries: int = 150) -> str:
    """Run a scenario, and return what has failed; nothing if nothing has."""
    try:
        simulate(EVERY[name], seed, only=only, tries=tries)
    except SimulationFailed as failure:
        return str(failure)
    return ""


def be_quiet() -> None:
    """Keep the log of what goes wrong on purpose off the screen."""
    logging.disable(logging.CRITICAL)


def chunks(first: int, count: int) -> Iterator[range]:
    """Yield the seeds in portions."""
    for start in range(first, first + count, CHUNK):
        yield range(start, min(start + CHUNK, first + count))


def search(names: list[str], first: int, count: int, *, in_full: bool) -> list[Finding]:
    """Run each of the scenarios with so many seeds, on all processors.

    Args:
        in_full: Tell of what was found in the broken ones, too.
    """
    findings = {name: Finding(name, name in SOUND) for name in names}
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with (
        ProcessPoolExecutor(os.cpu_count(), initializer=be_quiet) as pool,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        jobs = {
            pool.submit(failing, name, seeds): (findings[name], seeds)
            for name in names
            for seeds in chunks(first, count if name in SOUND else min(count, ENOUGH))
        }
        total = sum(len(seeds) for _, seeds in jobs.values())
        bar = progress.add_task("simulating", total=total)
        for job in as_completed(jobs):
            finding, seeds = jobs[job]
            failures = job.result()
            finding.seeds += len(seeds)
            finding.failed += len(failures)
            if failures:
                found = failures[0] if finding.first is None else finding.first
                finding.first = min(failures[0], found)
            progress.advance(bar, len(seeds))
        tales = {
            pool.submit(told, finding.scenario, finding.first): finding
            for finding in findings.values()
            if finding.first is not None and (in_full or finding.is_sound)
        }
        for tale, finding in tales.items():
            finding.told = tale.result()
    return list(findings.values())


def show(findings: list[Finding], seconds: float) -> None:
    """Print what was found, as a table, and in full what shouldn't have been."""
    console = Console()
    table = Table("scenario", "seeds", "failed", "first", "")
    for finding in findings:
        verdict = "[green]as it should[/green]" if finding.is_as_it_should else "[red]wrong[/red]"
        name = finding.scenario if finding.is_sound else f"[dim]broken:[/dim] {finding.scenario}"
        first = "" if finding.first is None else str(finding.first)
        table.add_row(name, f"{finding.seeds:,}", f"{finding.failed:,}", first, verdict)
    console.print(table)
    console.print(f"[dim]{seconds:,.0f} s[/dim]", highlight=False)
    for finding in findings:
        if finding.told:
            console.print(f"\n{finding.told}", markup=False, highlight=False)
        elif not finding.is_as_it_should:
            console.print(f"{finding.scenario} is broken, and no seed has shown it")


def main() -> int:
    """Simulate as the arguments say, and return 1 if something isn't as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many [%(default)s]")
    parser.add_argument("--first", type=int, default=0, help="the first of them [%(default)s]")
    parser.add_argument("--scenario", choices=EVERY, help="this one only")
    parser.add_argument("--only", help="the steps and faults that are to happen, for --seeds 1")
    parser.add_argument("--full", action="store_true", help="tell of the broken ones in full, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    be_quiet()
    names = [arguments.scenario] if arguments.scenario else list(EVERY)
    if arguments.only is not None:
        found = "\n".join(told(name, arguments.first, only=arguments.only) for name in names)
        print(found or "nothing fails")
        return int(bool(found))
    begun = monotonic()
    findings = search(names, arguments.first, arguments.seeds, in_full=arguments.full)
    seconds = monotonic() - begun
    if arguments.json:
        figures = [asdict(finding) for finding in findings]
        print(json.dumps({"scenarios": figures, "seconds": seconds}, indent=2))
    else:
        show(findings, seconds)
    return int(not all(finding.is_as_it_should for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
