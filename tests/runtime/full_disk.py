"""A program for `test_full_disk`: what a runtime does on a disk that becomes full, and is freed.

Started with a folder on a small disk of its own. It starts nodes, processes that are driven line
by line, kills them, and ends with an error if anything is not as it should be.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runtime import DurableObject, Runtime, RuntimeConfig, errors

NAMES = "abcdef"
ROW_BYTES = 20_000
SEGMENTS_OF_ROWS = 30  # rows that take more than two segments
PATIENCE = 30.0  # seconds, for what happens by itself
REFUSED = 3  # the exit status of a node that couldn't start


class Log(DurableObject[Any]):
    """Keeps numbered rows."""

    migrations = ("CREATE TABLE rows (number INTEGER PRIMARY KEY, filling BLOB)",)

    async def put(self, number: int) -> None:
        row = (number, os.urandom(ROW_BYTES))
        self.ctx.storage.sql.exec("INSERT INTO rows VALUES (?, ?)", *row)

    async def numbers(self) -> list[int]:
        rows = self.ctx.storage.sql.exec("SELECT number FROM rows")
        return [row["number"] for row in rows]


async def node(data: Path) -> None:
    """Carry out what is asked for on stdin, a line of JSON each, and answer on stdout."""
    config = RuntimeConfig(data=data, idle_seconds=0.2, journal_segment_bytes=256 * 1024)
    loop = asyncio.get_running_loop()
    async with Runtime(config, bindings={"logs": Log}) as runtime:
        print("ready", flush=True)

        async def put(name: str, number: int) -> str:
            try:
                await runtime.env.logs.get_by_name(name).put(number)
            except errors.DurableObjectError as error:
                return "refused" if error.retryable else f"failed: {error!r}"
            return "kept"

        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            answer: Any
            if order["do"] == "put":
                answer = await asyncio.gather(*(put(*each) for each in order["rows"]))
            elif order["do"] == "numbers":
                answer = {
                    name: await runtime.env.logs.get_by_name(name).numbers() for name in NAMES
                }
            else:
                answer = [runtime.health.is_well, runtime.health.reason, runtime.health.objects]
            print(json.dumps(answer), flush=True)


class Node:
    """A node, as seen from outside, and what it has said of each row."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._next = 0
        self.kept: dict[str, set[int]] = {name: set() for name in NAMES}
        self.refused: dict[str, set[int]] = {name: set() for name in NAMES}
        self._process: subprocess.Popen[str]

    def start(self) -> bool:
        """Start it, and return whether it could."""
        command = [sys.executable, "-m", "tests.runtime.full_disk", str(self._data), "node"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() == "ready\n":
            return True
        assert self._process.wait() == REFUSED, "it ended as if by an error of its own"
        return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def ask(self, do: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def put(self, names: str = NAMES) -> list[str]:
        """Have objects keep a row each, and return what became of them."""
        rows = [(name, self._next + at) for at, name in enumerate(names)]
        self._next += len(rows)
        answers: list[str] = self.ask("put", rows=rows)
        for (name, number), answer in zip(rows, answers, strict=True):
            assert answer in ("kept", "refused"), answer
            (self.kept if answer == "kept" else self.refused)[name].add(number)
        return answers

    def fill(self) -> None:
        """Write until the disk has refused for a while."""
        refusals = 0
        while refusals < 5 * len(NAMES):
            refusals += self.put().count("refused")
        is_well, reason, _ = self.ask("health")
        assert (is_well, reason) == (False, "No space left on device")

    def check(self) -> None:
        """Everything that was kept is there, and nothing that was refused."""
        for name, numbers in self.ask("numbers").items():
            missing = self.kept[name] - set(numbers)
            assert not missing, f"{name} has lost {sorted(missing)} of {len(self.kept[name])}"
            assert not self.refused[name] & set(numbers), f"{name} has kept what was refused"

    def wait(self, what: str, at: int, value: object) -> None:
        """Return once the node's health has `value` at a place."""
        until = time.monotonic() + PATIENCE
        while self.ask("health")[at] != value:
            assert time.monotonic() < until, f"it isn't {what}"
            time.sleep(0.05)


def drive(folder: Path) -> None:
    """Fill the disk and free it, with a node on it that lives, sleeps, and is killed."""
    ballasts = [folder / f"ballast-{number}" for number in range(2)]
    for ballast in ballasts:
        ballast.write_bytes(bytes(8 * 1024 * 1024))
    node = Node(folder / "data")
    assert node.start()

    node.fill()
    node.check()
    node.wait("asleep", 2, 0)  # whatever could be closed is
    node.put()
    ballasts[0].unlink()
    node.wait("well by itself", 0, True)
    # The journal goes on without those that fell asleep when nothing could be tidied up.
    for _ in range(SEGMENTS_OF_ROWS):
        assert node.put(NAMES[0]) == ["kept"]
    node.kill()
    assert node.start()
    node.check()
    assert node.put() == ["kept"] * len(NAMES)

    node.fill()
    node.wait("asleep", 2, 0)
    node.kill()
    if node.start():  # on the full disk, which may do
        node.check()
        node.kill()
    ballasts[1].unlink()
    assert node.start()
    node.check()
    assert node.put() == ["kept"] * len(NAMES)
    node.kill()
    assert node.start()
    node.check()
    node.kill()
    rows = sum(map(len, node.kept.values())), sum(map(len, node.refused.values()))
    print("kept {} rows, refused {}".format(*rows))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["node"]:
        try:
            asyncio.run(node(folder))
        except errors.DataFolderRefused as refusal:
            print(refusal, file=sys.stderr)
            sys.exit(REFUSED)
    else:
        drive(folder)
