"""``python -m apps.booking.proof SEED VARIANT``: run, and print a line of JSON for each step."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from dataclasses import asdict

from apps.booking.proof.course import VARIANTS, Course, Run


def report(course: Course) -> None:
    """Print how far it is."""
    print(json.dumps(asdict(course)), flush=True)


def main() -> int:
    """Run, and return 1 if something didn't hold."""
    parser = argparse.ArgumentParser(prog="python -m apps.booking.proof", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("variant", choices=VARIANTS, nargs="?", default="sound")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what goes wrong on purpose
    course = asyncio.run(Run(arguments.seed, arguments.variant, report).go())
    return int(bool(course.broken))


if __name__ == "__main__":
    sys.exit(main())
