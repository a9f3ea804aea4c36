"""The moments that an object can go back to, and how they are written down."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from runtime.commits import GatedCommits
from runtime.errors import StorageError
from runtime.histories import Histories
from runtime.history import History
from runtime.metadata import Metadata
from runtime.records import Kind
from runtime.stamps import MICROSECONDS

_FORM: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{8})(-undo)?")
_ID_DIGITS: Final = 16
_SURELY_TOO_LATE: Final = 1e11  # the year 5138
_PRECISION: Final = 1000  # microseconds in which all commits count as of the same time


class Bookmark(NamedTuple):
    """A moment in the life of one object. As text, later ones sort after earlier ones."""

    stamp: int
    """After all commits up to this one."""
    hex: str
    """The object's id."""
    is_undo: bool = False
    """Rather the moment before the object is next restored."""

    def __str__(self) -> str:
        text = f"{self.stamp:016x}-{self.hex[:_ID_DIGITS]}"
        suffix = "-undo" if self.is_undo else ""
        return f"{text}-{zlib.crc32((text + suffix).encode()):08x}{suffix}"

    @classmethod
    def read(cls, text: str, hex: str) -> Self:
        """Return the bookmark of the object `hex` that is written as `text`.

        Raises:
            ValueError: If it is none, or another object's.
        """
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{text!r} is no bookmark")
        stamp, owner, _, undo = match.groups()
        if owner != hex[:_ID_DIGITS]:
            raise ValueError(f"the bookmark {text} is that of another object")
        bookmark = cls(int(stamp, 16), hex, undo is not None)
        if str(bookmark) != text:
            raise ValueError(f"{text!r} is no bookmark: a part of it was changed")
        return bookmark


class Bookmarks:
    """The bookmarks of one object, in one life."""

    def __init__(
        self,
        hex: str,
        history: History,
        histories: Histories,
        commits: GatedCommits,
        metadata: Metadata,
        *,
        is_new: bool,
    ) -> None:
        """Args:
        is_new: Whether the object had nothing stored when this life began.
        """
        self._hex = hex
        self._history = history
        self._stamps = histories.stamps
        self._retention = histories.retention
        self._commits = commits
        self._metadata = metadata
        self._is_new = is_new

    def current(self) -> str:
        """Return a bookmark of what has been committed up to now."""
        return str(Bookmark(self._stamps.next(), self._hex))

    def at(self, when: float) -> str:
        """Return a bookmark of what had been committed at `when`, to the millisecond.

        Args:
            when: In seconds since the epoch.

        Raises:
            ValueError: If that is yet to come.
            StorageError: If the history doesn't reach back so far.
        """
        if not when * MICROSECONDS <= self._stamps.now():
            hint = ": seconds are expected, not milliseconds" if when > _SURELY_TOO_LATE else ""
            raise ValueError(f"{_date(when)} is yet to come{hint}")
        stamp = (int(when * MICROSECONDS) // _PRECISION + 1) * _PRECISION - 1
        self._must_reach(stamp)
        return str(Bookmark(stamp, self._hex))

    def plan_restoration(self, text: str) -> str:
        """Have the object's next life begin with what it was at a bookmark.

        Returns:
            A bookmark of the moment before that.

        Raises:
            ValueError: If it is none of this object's, or one that is yet to come.
            StorageError: If the history doesn't reach back so far.
        """
        bookmark = Bookmark.read(text, self._hex)
        until = bookmark.stamp
        if bookmark.is_undo:
            restored = self._restored_after(bookmark.stamp)
            if restored is None:
                raise StorageError("what this bookmark would undo hasn't happened")
            until = restored - 1
        elif until > self._stamps.now() + _PRECISION:
            raise ValueError(f"the bookmark {text} is yet to come")
        self._must_reach(until)
        self._metadata.plan_restoration(until)
        return str(Bookmark(self._stamps.next(), self._hex, is_undo=True))

    def _restored_after(self, stamp: int) -> int | None:
        return self._history.restoration_after(stamp) if self._history.exists() else None

    def _must_reach(self, stamp: int) -> None:
        if not self._retention.microseconds:
            raise StorageError("no history is kept: RuntimeConfig.history_days is 0")
        limit, reach = self._stamps.now() - self._retention.microseconds, self._reach()
        if stamp >= max(limit, reach):
            return
        days = timedelta(microseconds=self._retention.microseconds) / timedelta(days=1)
        why = (
            f"RuntimeConfig.history_days is {days:g}"
            if limit > reach
            else "what was before was deleted by delete_all(), or had no room in "
            f"RuntimeConfig.history_max_bytes, {self._retention.max_bytes}"
        )
        earliest, asked = (_date(each / MICROSECONDS) for each in (max(limit, reach), stamp))
        raise StorageError(
            f"the history of this object reaches back to {earliest}, not to {asked}: {why}"
        )

    def _reach(self) -> int:
        wiped = [span.stamp for span in self._commits.spans if span.kind is Kind.WIPED]
        if wiped:
            return wiped[-1]
        reach = self._history.reach()
        if reach is not None:
            return reach
        if not self._commits.spans:
            return self._stamps.now()
        first = self._commits.spans[0].stamp
        # What was before that is known of a new object only: nothing.
        return first - 1 if self._is_new else first


def _date(when: float) -> str:
    try:
        return datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):  # beyond the calendar
        return f"{when:g}"
