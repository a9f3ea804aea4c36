"""``python -m benchmarks W1``: measure, and print both figures and their ratio."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import Progress

from benchmarks.durability import latency, recovery, start
from benchmarks.results import Result, about, show
from benchmarks.throughput import w1, w2, w2_one

Workload = Callable[[int, float, Callable[[], object]], Coroutine[Any, Any, list[Result]]]
WORKLOADS: dict[str, Workload] = {
    "W1": w1,
    "W2": w2,
    "W2-ONE": w2_one,
    "LATENCY": latency,
    "RECOVERY": recovery,
    "START": start,
}


async def measure(names: list[str], rounds: int, seconds: float) -> list[Result]:
    """Run the workloads, with a progress bar where somebody watches."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        results: list[Result] = []
        for name in names:
            task = progress.add_task(name, total=rounds * 2)
            results += await WORKLOADS[name](rounds, seconds, partial(progress.advance, task))
        return results


def _rounds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds: 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: more than 0 seconds")
    return seconds


def main() -> int:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument(
        "--rounds", type=_rounds, default=5, help="of each, alternating [%(default)s]"
    )
    parser.add_argument("--seconds", type=_seconds, default=3, help="for a round [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    names = [name.upper() for given in arguments.workloads for name in given.split(",")]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(WORKLOADS)}")
    results = uvloop.run(measure(names or list(WORKLOADS), arguments.rounds, arguments.seconds))
    notes = about(f"make bench BENCH={','.join(names)}")
    if arguments.json:
        figures = [asdict(result) | {"ratio": result.ratio} for result in results]
        print(json.dumps({"results": figures} | notes, indent=2))
    else:
        show(results, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
