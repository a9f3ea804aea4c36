"""``python -m tests.crash``: kill a process under load for as long as one likes."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table

CHAINS = 2


class Chain:
    """One of the chains that run side by side.

    Attributes:
        lie: What it has found; None if nothing.
    """

    def __init__(self, folder: Path, seed: int, rounds: int) -> None:
        self.seed, self.folder = seed, folder
        self.kills = Counter[str]()
        self.answers = 0
        self.lie: str | None = None
        self.has_failed = False
        self._rounds = rounds

    async def run(self, step: Callable[[], object]) -> None:
        """Run it to its end, or to the first lie."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.chain", str(self.folder)),
            *("--seed", str(self.seed), "--lives", str(self._rounds)),
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,  # of a line: a lie is told in full
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                self._hear(json.loads(line), step)
        finally:
            if process.returncode is None and not process.stdout.at_eof():
                process.kill()
            self.has_failed = bool(await process.wait())

    def _hear(self, said: dict[str, Any], step: Callable[[], object]) -> None:
        if "lie" in said:
            self.lie = said["lie"]
            return
        self.answers += said["shown"]
        if said["end"] != "in peace":
            self.kills[said["end"]] += 1
            step()


async def soak(folder: Path, seed: int, rounds: int) -> list[Chain]:
    """Kill so often, on two chains side by side, and return them."""
    shares = [rounds // CHAINS, rounds - rounds // CHAINS]
    chains = [
        Chain(folder / str(seed + number), seed + number, share)
        for number, share in enumerate(shares)
    ]
    for chain in chains:
        chain.folder.mkdir(parents=True)
    console = Console(stderr=True)
    columns = (
        *Progress.get_default_columns()[:-1],
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("killing", total=rounds)
        await asyncio.gather(*(chain.run(lambda: progress.advance(task)) for chain in chains))
    return chains


def show(chains: list[Chain], seconds: float) -> None:
    """Print what happened as a table, and the lies in full."""
    console = Console()
    ends = sorted({end for chain in chains for end in chain.kills})
    table = Table("seed", *(f"killed {end}" for end in ends), "answers", "lies")
    for chain in chains:
        found = "[red]1[/red]" if chain.lie else "[red]failed[/red]" if chain.has_failed else "0"
        kills = (f"{chain.kills[end]:,}" for end in ends)
        table.add_row(str(chain.seed), *kills, f"{chain.answers:,}", found)
    console.print(table)
    console.print(f"[dim]{seconds:,.0f} s[/dim]", highlight=False)
    for chain in chains:
        if chain.lie is not None:
            console.print(f"seed {chain.seed}, data in {chain.folder}:", highlight=False)
            console.print(chain.lie, markup=False, highlight=False)


def main() -> int:
    """Kill as the arguments say, and return whether a lie was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000, help="how many kills [%(default)s]")
    parser.add_argument("--seed", type=int, help="of the load and of the moments [random]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="dormouse-soak-"))
    begun = time.monotonic()
    chains = asyncio.run(soak(folder, seed, arguments.rounds))
    seconds = time.monotonic() - begun
    if arguments.json:
        about = ("seed", "kills", "answers", "lie", "has_failed")
        figures = [{name: getattr(chain, name) for name in about} for chain in chains]
        print(json.dumps({"chains": figures, "seconds": seconds}, indent=2))
    else:
        show(chains, seconds)
    if any(chain.has_failed for chain in chains):
        return 1  # the data stays, to be looked at
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
