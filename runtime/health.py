"""How a node is; above all, whether its disk takes what is written."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.clock import Clock, Timer
from runtime.segments import write_all
from runtime.syncer import Syncer

LOOK_SECONDS: Final = 1.0  # between two looks at a disk that refuses
PROBE: Final = "probe"
PROBE_BYTES: Final = 1024 * 1024  # a disk that takes less is as good as full

_MEANINGS: Final = {"SQLITE_FULL": errno.ENOSPC, "SQLITE_IOERR": errno.EIO}
_WHAT_TO_DO: Final = {
    errno.ENOSPC: "free some space where the data folder is",
    errno.EDQUOT: "free some space where the data folder is, or raise its quota",
    errno.EROFS: "make the disk writable",
    errno.EMFILE: "let the server have more open files",
    errno.ENFILE: "let the machine have more open files",
}
_LOOK_AFTER_IT: Final = "look after the disk; the system's log may say more"

log = logging.getLogger("runtime")

Retry = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Health:
    """How a runtime is at one moment. It names no object, and no place on the disk."""

    is_well: bool
    """Whether the disk takes what is written. While it doesn't, calls that write fail with a
    retryable error, calls that only read are answered, and nothing acknowledged is lost."""
    refused_since: float | None
    """When it began to refuse, in seconds since the epoch; None while it doesn't."""
    reason: str | None
    """What the system said then, such as "No space left on device"."""
    uptime_seconds: float
    """How long the runtime has been open."""
    waiting_bytes: int
    """How much waits for the disk to become durable."""
    segments: int
    """How many files the journal has. About seventeen are usual, once it has filled that many."""
    objects: int
    """How many objects are in memory, or have sockets."""
    sockets: int
    """How many WebSockets objects have accepted, and haven't seen the end of."""
    sockets_too_slow: int
    """How many WebSockets were closed because their client didn't take what it was sent."""
    alarms_waiting: int
    """How many alarms are overdue because enough others are ringing."""
    alarms_ringing: int
    """How many alarms are being run."""


class Disk:
    """Knows whether the disk takes what is written, and says so in the log, once for each time.

    It begins with the first refusal that anybody reports. It is over when nothing was refused for
    as long as `LOOK_SECONDS`, in which a file was written, since nobody may have anything to write.

    Args:
        folder: Where that file is written.
        syncer: Whose failures count, besides those that `refused` is told.
    """

    def __init__(self, folder: Path, clock: Clock, syncer: Syncer) -> None:
        self.refused_since: float | None = None
        """When it began to refuse; None while it doesn't."""
        self.reason: str | None = None
        """What the system said then."""
        self._file = folder / PROBE
        self._clock = clock
        self._syncer = syncer
        self._loop = asyncio.get_running_loop()
        self._retries: dict[Retry, None] = {}
        self._has_refused = False  # since the last look
        self._timer: Timer | None = None
        self._is_closed = False
        syncer.failed = self._failed

    def refused(self, error: Exception, retry: Retry | None = None) -> None:
        """Hear of a refusal. An error that isn't the disk's does nothing.

        Args:
            retry: Called at the next look: what wasn't possible is to be tried again.
        """
        if self._is_closed or not is_of_the_disk(error):
            return
        self._has_refused = True
        if retry is not None:
            self._retries[retry] = None
        if self.refused_since is None:
            number = _number_of(error)
            self.refused_since = self._clock.time()
            self.reason = os.strerror(number) if number else "Input/output error"
            log.error(
                "the disk refuses what objects write: %s. Calls that write fail with a retryable "
                "error until it lets go; what was acknowledged is kept. What to do: %s",
                self.reason,
                _WHAT_TO_DO.get(number, _LOOK_AFTER_IT),
            )
            self._look_later()

    def close(self) -> None:
        """Look no more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _failed(self, error: Exception) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.refused, error)

    def _look_later(self) -> None:
        if not self._is_closed:
            self._timer = self._clock.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if not self._has_refused:
            self._recover()
            return
        self._has_refused = False
        retries, self._retries = self._retries, {}
        for retry in retries:
            retry()
        # If it fails, that is one more refusal.
        self._syncer.run(self._write, lambda _: self._look_later())

    def _recover(self) -> None:
        assert self.refused_since is not None, "it has refused something"
        seconds = self._clock.time() - self.refused_since
        self.refused_since = self.reason = None
        log.warning("the disk takes what objects write again, after %.0f seconds", seconds)

    def _write(self) -> None:
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                write_all(descriptor, bytes(PROBE_BYTES), 0)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            self._file.unlink(missing_ok=True)


def is_of_the_disk(error: Exception) -> bool:
    """Whether the disk is to blame for an error: then `Disk` has said what there is to say."""
    return isinstance(error, OSError) or getattr(error, "retryable", False)


def _number_of(error: Exception) -> int:
    """Return the system's number for an error, 0 if it has none."""
    if isinstance(error, OSError):
        return error.errno or 0
    code = getattr(error, "code", None) or ""
    return next((number for name, number in _MEANINGS.items() if code.startswith(name)), 0)
