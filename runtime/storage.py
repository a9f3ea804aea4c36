"""What one object remembers: keys and values, SQL, transactions, alarms.

The asynchronous methods are the original's; none of them waits, except `Storage.sync` and
`Storage.transaction`, so there is nothing that ``allow_concurrency`` or ``no_cache`` could change.
Writes need no awaiting to be safe either: what is written without yielding to the loop commits
together (I4), and nothing that may reveal it leaves before it is durable (I3).

`allow_unconfirmed` takes that back for one write: messages don't wait for it. Losing it resets the
object all the same. If anything else is written in the same transaction, SQL included, messages
wait for all of it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtime.alarms import AlarmTable
from runtime.clock import moment
from runtime.errors import StorageError
from runtime.kv import SyncKvStorage
from runtime.sql import Database
from runtime.statements import SqlStorage
from runtime.surroundings import Surroundings
from runtime.transactions import Transaction, transact

if TYPE_CHECKING:
    from runtime.bookmarks import Bookmarks

MAX_KEYS: Final = 128  # in one get_many, put_many or delete_many

_CONFIRMED: Final = nullcontext()

T = TypeVar("T")


class Storage:
    """An object's durable memory, to be used by the object's own code only.

    Attributes:
        sql: The database.
        kv: Keys and values, without ``await``. The same data as `get` and `put` see.

    Raises:
        OutsideObject: From every method, if no code of the object is running.
        ObjectReset: From every method, once the object is broken.
    """

    def __init__(
        self, database: Database, alarms: AlarmTable, bookmarks: Bookmarks, around: Surroundings
    ) -> None:
        self.sql = SqlStorage(database, around.check)
        self.kv = SyncKvStorage(database, around.check)
        self._database = database
        self._alarms = alarms
        self._bookmarks = bookmarks
        self._around = around
        self._transactions: list[Transaction] = []

    # Keys and values.

    async def get(self, key: str, default: Any = None) -> Any:
        """Return a copy of the value under `key`, or `default`."""
        return self.kv.get(key, default)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the values of up to 128 keys, in the order of the keys; missing ones left out."""
        _limit(keys)
        missing = object()
        found = ((key, self.kv.get(key, missing)) for key in sorted(set(keys)))
        return {key: value for key, value in found if value is not missing}

    async def put(self, key: str, value: Any, *, allow_unconfirmed: bool = False) -> None:
        """Keep a copy of `value` under `key`.

        Args:
            allow_unconfirmed: Let messages leave before the write is durable.

        Raises:
            TypeError: If the value is None, or none that can be stored. Nothing was written.
        """
        if value is None:
            raise TypeError("put() called with None: a missing key reads as None, so delete() it")
        with self._write(allow_unconfirmed):
            self.kv.put(key, value)

    async def put_many(
        self, entries: Mapping[str, Any], *, allow_unconfirmed: bool = False
    ) -> None:
        """Keep up to 128 values, all or none of them. A value of None is left out."""
        if not isinstance(entries, Mapping):
            raise TypeError(f"put_many() takes a mapping of keys to values, not {entries!r}")
        _limit(entries)

        def put_all() -> None:
            for key, value in entries.items():
                if value is not None:
                    self.kv.put(key, value)

        with self._write(allow_unconfirmed):
            self.transaction_sync(put_all)

    async def delete(self, key: str, *, allow_unconfirmed: bool = False) -> bool:
        """Forget `key`, and return whether there was such a key."""
        with self._write(allow_unconfirmed):
            return self.kv.delete(key)

    async def delete_many(self, keys: Sequence[str], *, allow_unconfirmed: bool = False) -> int:
        """Forget up to 128 keys, all or none of them, and return how many there were."""
        _limit(keys)
        with self._write(allow_unconfirmed):
            return self.transaction_sync(lambda: sum(map(self.kv.delete, set(keys))))

    async def list(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Return keys and values in order. The options are those of `SyncKvStorage.list`."""
        return dict(
            self.kv.list(
                start=start,
                start_after=start_after,
                end=end,
                prefix=prefix,
                reverse=reverse,
                limit=limit,
            )
        )

    async def delete_all(self) -> None:
        """Forget everything: tables, keys, alarms, and the history as well, so that no bookmark
        leads back. The object goes on with an empty database, its `migrations` applied anew.

        Raises:
            StorageError: Inside a transaction. Nothing was deleted.
        """
        self._around.check()
        if self._database.in_transaction:
            raise StorageError("Cannot call delete_all() within a transaction")
        self._database.wipe()
        self._around.emptied()

    # Transactions.

    async def transaction(self, closure: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `closure` alone, and commit all of its writes or none.

        Nothing else of the object runs meanwhile, for at most 30 seconds. Every write counts,
        whether made through the closure's argument or through the storage. What was written
        before has been committed already. If constraints are violated at the end, the object is
        reset, as at the end of every other transaction.

        Raises:
            BaseException: Whatever the closure raises; everything was rolled back.
        """
        self._around.check()
        return await self._around.exclusively(lambda: transact(self, closure))

    def transaction_sync(self, closure: Callable[[], T]) -> T:
        """Run `closure` and keep all of its writes or none.

        They commit with the other writes of this step. `closure` may not be ``async``: what
        it would do after its first ``await`` is no part of it.

        Raises:
            Exception: Whatever the closure raises; everything it wrote was rolled back.
            ObjectReset: If the object broke meanwhile, over a full disk for instance.
        """
        self._around.check()
        self._database.enter()
        try:
            result = closure()
        except BaseException:
            self._database.leave(keep=False)
            raise
        self._database.leave(keep=True)
        self._around.check()  # a closure may have caught what broke the object
        return result

    async def sync(self) -> None:
        """Return once all writes made so far are durable, the unconfirmed ones too.

        Raises:
            StorageError: Inside a transaction that has written.
        """
        self._around.check()
        if self._database.in_transaction:
            self._database.confirm()  # to wait for that is refused, and doesn't end too early
        await self._around.durable()

    # Alarms.

    async def get_alarm(self, *, name: str | None = None) -> float | None:
        """Return when the alarm is set for, in seconds since the epoch, or None.

        While its handler runs that is None, unless the handler has set it anew.
        """
        self._around.check()
        return self._alarms.get(name)

    async def set_alarm(
        self,
        when: float | datetime | timedelta,
        *,
        name: str | None = None,
        allow_unconfirmed: bool = False,
    ) -> None:
        """Have `alarm` called at `when`: at least once, and never before.

        The alarm replaces the one of the same name. It commits and rolls back with the other
        writes of this step.

        Args:
            when: Seconds since the epoch, an aware datetime, or a timedelta from now. What is
                past counts as now.
            allow_unconfirmed: Let messages leave before it is durable that the alarm is set.

        Raises:
            TypeError: If that is no such time, the name is no text, or the class has no `alarm`
                method.
            ValueError: If the name is empty.
        """
        self._around.check()
        if not self._around.has_alarm_handler():
            raise TypeError(
                "Your Durable Object class must have an alarm() handler in order to call "
                "set_alarm()"
            )
        if name is not None and not isinstance(name, str):
            raise TypeError(f"an alarm's name is text, not {name!r}")
        if name == "":
            raise ValueError("an alarm's name can't be empty; leave it out for the one alarm")
        now = self._around.clock.time()
        time = moment(when, now)
        if time <= 0 or time == math.inf:
            which = "<= 0" if time <= 0 else "that never comes"
            raise TypeError(f"set_alarm() cannot be called with an alarm time {which}")
        with self._write(allow_unconfirmed):
            self._alarms.set(name, max(time, now))

    async def delete_alarm(
        self, *, name: str | None = None, allow_unconfirmed: bool = False
    ) -> None:
        """Unset the alarm, or the one that waits for its next try."""
        self._around.check()
        with self._write(allow_unconfirmed):
            self._alarms.delete(name)

    async def list_alarms(self) -> dict[str | None, float]:
        """Return all alarms that are set, with their times; the one without a name under None."""
        self._around.check()
        return self._alarms.all()

    def _write(self, allow_unconfirmed: bool) -> AbstractContextManager[None]:
        return self._database.unconfirmed() if allow_unconfirmed else _CONFIRMED

    # Going back.

    async def get_current_bookmark(self) -> str:
        """Return a name for what is stored now, once that is durable; later ones sort after it.

        Raises:
            StorageError: Inside a transaction.
        """
        await self._outside_transaction("get_current_bookmark")
        return self._bookmarks.current()

    async def get_bookmark_for_time(self, when: float | datetime) -> str:
        """Return a name for what was stored at `when`, to the millisecond.

        Args:
            when: Seconds since the epoch, or an aware datetime.

        Raises:
            TypeError: If that is no such time.
            ValueError: If it is yet to come.
            StorageError: If the history doesn't reach back so far.
        """
        self._around.check()
        if not isinstance(when, int | float | datetime) or isinstance(when, bool):
            raise TypeError(f"expected seconds since the epoch or an aware datetime, not {when!r}")
        return self._bookmarks.at(moment(when, 0))

    async def on_next_session_restore_bookmark(self, bookmark: str) -> str:
        """Have the object's next life begin with what was stored at `bookmark`.

        All of it: tables, keys, alarms. It becomes one more commit, so nothing is lost by it. The
        next life comes soon if ``ctx.abort()`` is called, in another call than this: whoever waits
        for the answer of a call that aborts gets an error instead. If the restoration turns out
        not to be possible, the log says so, and the object stays as it is.

        Returns:
            A bookmark of the moment before that, by which it can be undone.

        Raises:
            ValueError: If it isn't a bookmark of this object, or one that is yet to come.
            StorageError: If the history doesn't reach back so far; inside a transaction. Nothing
                is going to happen.
        """
        await self._outside_transaction("on_next_session_restore_bookmark")
        undo = self._bookmarks.plan_restoration(bookmark)
        await self._around.durable()
        return undo

    async def _outside_transaction(self, operation: str) -> None:
        self._around.check()
        if self._database.in_transaction:
            raise StorageError(
                f"Cannot call {operation}() within a transaction: call it before, or after"
            )
        await self._around.durable()


def _limit(keys: Sequence[str] | Mapping[str, Any]) -> None:
    if len(keys) > MAX_KEYS:
        raise ValueError(
            f"Maximum number of key value pairs is {MAX_KEYS}. {len(keys)} pairs were provided."
        )
