"""What a power cut leaves of files that were being written, for tests.

A process that is killed leaves all that it has written. A machine that stops leaves any part of
what the disk hasn't confirmed: each sector is the new one or the old one, and a file that has
grown is as long as it was, as it was to be, or something between.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from runtime.history import SUFFIX as HISTORY
from runtime.records import HEADER_SIZE, SUFFIX

SECTOR: Final = 512  # bytes that a disk writes whole, or not


class Appended:
    """The end of a journal that is being written.

    Args:
        journal: Its folder. What is found there now is durable, and so is the beginning of a new
            segment: it is named in the index before anything is written to it.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        newest = self._newest()
        self._durable = {newest: newest.stat().st_size} if newest else {}

    def tear(self, random: Random) -> None:
        """Leave a part of what was added since."""
        if newest := self._newest():
            content = newest.read_bytes()
            begin = min(self._durable.get(newest, HEADER_SIZE), len(content))
            newest.write_bytes(content[:begin] + torn(b"", content[begin:], random))

    def _newest(self) -> Path | None:
        return max(self._journal.glob("*.journal"), default=None)


class Changed:
    """The databases and histories that are being written, which take in what the journal has.

    Args:
        objects: The folder of all of them, in the folders of their classes. What is found there
            now is durable.
    """

    def __init__(self, objects: Path) -> None:
        self._objects = objects
        self._before = self._read()
        self._after = self._before

    def end(self) -> None:
        """Say that all is written."""
        self._after = self._read()

    def tear(self, random: Random) -> None:
        """Leave a part of it. A history is durable before its database is touched."""
        reaches_databases = random.random() < 0.5
        for path in sorted(self._before.keys() | self._after.keys()):
            before, after = self._before.get(path), self._after.get(path)
            if before == after:
                continue
            is_history = path.suffix == HISTORY
            if is_history == reaches_databases:
                left = after if is_history else before
            elif after is None or (is_history and not after.startswith(before or b"")):
                left = random.choice((before, after))  # it was deleted, or replaced
            else:
                left = torn(before or b"", after, random)
            _put(path, left)

    def _read(self) -> dict[Path, bytes]:
        paths = [*self._objects.glob(f"*/*{SUFFIX}"), *self._objects.glob(f"*/*{HISTORY}")]
        return {path: path.read_bytes() for path in paths}


def tear_logs(objects: Path, random: Random) -> None:
    """Leave a part of databases' write-ahead logs, which are never made durable."""
    for log in sorted(objects.glob(f"*/*{SUFFIX}-wal")):
        log.write_bytes(torn(b"", log.read_bytes(), random))


def torn(before: bytes, after: bytes, random: Random) -> bytes:
    """Return what may be left of a file that was `before` and was to be `after`."""
    shorter, longer = sorted((len(before), len(after)))
    length = random.choice((shorter, random.randint(shorter, longer), longer))
    before, after = (content[:length].ljust(length, b"\0") for content in (before, after))
    sectors = range(0, length, SECTOR)
    if random.random() < 0.5:  # it was written from the beginning
        written = set(sectors[: random.randint(0, len(sectors))])
    else:
        written = {at for at in sectors if random.random() < 0.5}
    return b"".join((after if at in written else before)[at : at + SECTOR] for at in sectors)


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
