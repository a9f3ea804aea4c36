"""``python -m tests.rush``: sell 1,000 seats to 64 people, and kill the server three times."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from runtime.testing import Violation
from tests.rush.buyers import rush


def main() -> int:
    """Print what came of it, and return 1 if something doesn't agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.rush", description=__doc__)
    parser.add_argument("--seats", type=int, default=1000, help="a multiple of 20 [%(default)s]")
    parser.add_argument("--attempts", type=int, default=4000, help="[%(default)s]")
    parser.add_argument("--clients", type=int, default=64, help="[%(default)s]")
    parser.add_argument("--kills", type=int, default=3, help="with -9 [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="who wants which seat [%(default)s]")
    arguments = parser.parse_args()
    begun = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            course = asyncio.run(rush(Path(folder), **vars(arguments)))
        except Violation as violation:
            print(violation, file=sys.stderr)
            return 1
    figures = asdict(course) | {"bought": len(course.bought)}
    print(json.dumps(figures | {"seconds": round(perf_counter() - begun, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
