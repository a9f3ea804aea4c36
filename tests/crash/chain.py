"""A chain of lives on one folder, each ended by ``kill -9``: ``python -m tests.crash.chain``.

This process has imported all that it needs and runs no loop and no thread, so that a life is a
fork of it and begins at once.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from runtime.methods import methods_of
from tests.crash import load, sabotage
from tests.crash.model import History, Lie, State

ENDS: Final = {"at work": 7, "while starting": 2, "while stopping": 1}
MOST_ANSWERS: Final = 70  # until a life is in danger
SILENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Life:
    """How one life went."""

    number: int
    end: str
    """When it was killed."""
    shown: int
    """How many answers it has given."""
    seconds: float


class Child:
    """A life that is under way.

    Attributes:
        heard: How often it has said what.
    """

    def __init__(self, histories: dict[str, History], *about: Any, **kind: Any) -> None:
        self.heard = Counter[str]()
        self._histories = histories
        self._rest = b""
        self._pipe, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._pipe)
            _be(theirs, *about, **kind)
        os.close(theirs)

    def hear(self, seconds: float = SILENCE_SECONDS) -> bool:
        """Wait for what it says next, at most so long. Returns whether it will say more."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return True
        said = os.read(self._pipe, 1 << 20)
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            self._take(*json.loads(line))
        return bool(said)

    def hear_until(self, what: str, times: int = 1) -> None:
        """Wait until it has said something so often."""
        begun = time.monotonic()
        while self.heard[what] < times and self.hear():
            if time.monotonic() - begun > SILENCE_SECONDS:
                raise TimeoutError(f"a life hasn't said {what!r} {times} times: {self.heard}")

    def hear_for(self, seconds: float) -> None:
        """Listen for so long, or until it has ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.hear(left):
            pass

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> None:
        """Hear its last words.

        Raises:
            ChildProcessError: If it hasn't died of a kill, nor in peace.
        """
        while self.hear():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            raise ChildProcessError("a life has ended by itself: see above")
        for history in self._histories.values():
            if self.heard["stopped"]:
                history.stopped()
            else:
                history.crashed()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.pid:
            self.signal(signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._pipe)

    def _take(self, what: str, *about: Any) -> None:
        self.heard[what] += 1
        match what, about:
            case "step", (name, effects, because):
                self._histories[name].ran(effects)
                if because is not None:
                    self._show(*because)
            case "shown", (name, position):
                self._show(name, position)
            case "found", (name, position, *state):
                try:
                    self._histories[name].found(position, State.read(*state))
                except Lie as lie:
                    raise Lie(f"object {name}, {lie}") from None
            case "failed", (error,):
                raise Lie(f"a life came to grief: {error}")
            case "complained", (complaint,):
                raise Lie(f"something has gone wrong: {complaint}")
            case "overdue", ():
                raise Lie("alarms were set, and don't ring")

    def _show(self, name: str, position: int) -> None:
        self._histories[name].shown(position)


def _be(pipe: int, *about: Any, **kind: Any) -> NoReturn:
    status = 1
    try:
        load.main(pipe, *about, **kind)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def lives(folder: Path, seed: int, number: int) -> Iterator[Life]:
    """Live so often on one folder, and yield how each life went; the last two end in peace.

    Raises:
        Lie: If an object doesn't hold what it must, or holds what it can't.
    """
    rng = random.Random(seed)
    histories = {str(name): History() for name in range(load.OBJECTS)}
    start_seconds = 0.1
    methods_of(load.Thing)  # is kept: no life has to find out again
    gc.freeze()
    for life in range(number + 2):
        config = load.settings(folder, rng)
        is_last = life >= number
        # Looking at an object wakes it, and its next start has more to do.
        looks_at_all = is_last or not rng.randrange(10)
        names = [name for name in histories if looks_at_all or not histories[name].is_known]
        end = "in peace" if is_last else rng.choices(list(ENDS), list(ENDS.values()))[0]
        begun = time.monotonic()
        child = Child(histories, config, life, names, is_last=is_last)
        try:
            match end:
                case "while starting":
                    child.hear_for(rng.uniform(0, start_seconds))
                case "at work" | "while stopping":
                    child.hear_until("checked")
                    start_seconds = time.monotonic() - begun
                    child.hear_until("shown", rng.randrange(1, MOST_ANSWERS))
                    child.hear_for(rng.uniform(0, 0.01))
            if end == "while stopping":
                child.signal(signal.SIGTERM)
                child.hear_for(rng.uniform(0, 0.1))
            if not is_last:
                child.signal(signal.SIGKILL)
            child.end()
        finally:
            child.close()
        yield Life(life, end, child.heard["shown"], time.monotonic() - begun)


def main() -> int:
    """Print a line of JSON for each life, and one with the lie that was found, if any."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chain", description=__doc__)
    parser.add_argument("folder", type=Path, help="for the data; must be empty")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lives", type=int, required=True)
    parser.add_argument("--lie", choices=sabotage.LIES, help="break the runtime so")
    arguments = parser.parse_args()
    if arguments.lie is not None:
        sabotage.LIES[arguments.lie]()
    try:
        for life in lives(arguments.folder, arguments.seed, arguments.lives):
            print(json.dumps(asdict(life)), flush=True)
    except Lie as lie:
        print(json.dumps({"seed": arguments.seed, "lie": str(lie)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
