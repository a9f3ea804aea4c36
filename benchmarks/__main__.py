"""``python -m benchmarks W1``: measure, and print both figures and their ratio."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import Progress

from benchmarks.chat import w4_chat
from benchmarks.durability import latency, recovery, start
from benchmarks.game import matches
from benchmarks.memory import w5, w6
from benchmarks.messages import w3, w4
from benchmarks.results import Result, about, show
from benchmarks.sales import w7
from benchmarks.throughput import w1, w2, w2_one


@dataclass(frozen=True, slots=True)
class Workload:
    """Something to be measured."""

    run: Callable[..., Coroutine[Any, Any, list[Result]]]
    steps: int = 2
    """In a round, as far as the progress bar knows."""
    is_once: bool = False
    """Whether there is one round only: what it measures doesn't vary, and takes its time."""
    has_sockets: bool = False
    """Whether it depends on the transport."""


WORKLOADS = {
    "W1": Workload(w1),
    "W2": Workload(w2),
    "W2-ONE": Workload(w2_one),
    "W3": Workload(w3, steps=3, has_sockets=True),
    "W4": Workload(w4, steps=4, has_sockets=True),
    "W4-CHAT": Workload(w4_chat, has_sockets=True),
    "W5": Workload(w5, steps=4, is_once=True, has_sockets=True),
    "W6": Workload(w6),
    "W7": Workload(w7, steps=3),
    "LATENCY": Workload(latency),
    "RECOVERY": Workload(recovery),
    "START": Workload(start),
    "MATCHES": Workload(matches, steps=1),
}


async def measure(names: list[str], rounds: int, seconds: float, transport: str) -> list[Result]:
    """Run the workloads, with a progress bar where somebody watches."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        results: list[Result] = []
        for name in names:
            workload = WORKLOADS[name]
            options = {"transport": transport} if workload.has_sockets else {}
            times = 1 if workload.is_once else rounds
            task = progress.add_task(name, total=times * workload.steps)
            step = partial(progress.advance, task)
            results += await workload.run(times, seconds, step, **options)
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="W3 to W6 take about four minutes together. W5 has one round.",
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument(
        "--rounds", type=_rounds, default=5, help="of each, alternating [%(default)s]"
    )
    parser.add_argument("--seconds", type=_seconds, default=3, help="for a round [%(default)s]")
    parser.add_argument(
        "--ws", choices=("detached", "portable"), default="detached", help="our transport"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    names = [name.upper() for given in arguments.workloads for name in given.split(",")]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(WORKLOADS)}")
    how = arguments.rounds, arguments.seconds, arguments.ws
    results = uvloop.run(measure(names or list(WORKLOADS), *how))
    notes = about(" ".join(["python -m benchmarks", *sys.argv[1:]]))
    if arguments.json:
        figures = [asdict(result) | {"ratio": result.ratio} for result in results]
        print(json.dumps({"results": figures} | notes, indent=2))
    else:
        show(results, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
