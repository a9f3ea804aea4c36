"""What the closure of a transaction gets: its own view of the storage, and `rollback`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.errors import StorageError

if TYPE_CHECKING:
    from runtime.storage import Storage


T = TypeVar("T")


async def transact(storage: Storage, closure: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run `closure` as a transaction, and return its result.

    To be a task of its own: what the step before has written is committed already, and what the
    closure leaves is committed when the step ends.
    """
    transaction = Transaction(storage)
    try:
        result: Any = closure(transaction)
        if inspect.isawaitable(result):
            result = await result
    except BaseException:
        transaction._end("rolled back", keep=False)
        raise
    transaction._end("already committed", keep=True)
    return result  # type: ignore[no-any-return]


class Transaction:
    """A transaction that is running: its own view of the storage, and `rollback`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._ended: str | None = None
        storage._transactions.append(self)
        storage._database.enter()

    async def get(self, key: str, default: Any = None) -> Any:
        """As `Storage.get`, what this transaction has written included."""
        return await self._open("get").get(key, default)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        """As `Storage.get_many`."""
        return await self._open("get").get_many(keys)

    async def put(self, key: str, value: Any, *, allow_unconfirmed: bool = False) -> None:
        """As `Storage.put`."""
        await self._open("put").put(key, value, allow_unconfirmed=allow_unconfirmed)

    async def put_many(
        self, entries: Mapping[str, Any], *, allow_unconfirmed: bool = False
    ) -> None:
        """As `Storage.put_many`."""
        await self._open("put").put_many(entries, allow_unconfirmed=allow_unconfirmed)

    async def delete(self, key: str, *, allow_unconfirmed: bool = False) -> bool:
        """As `Storage.delete`."""
        return await self._open("delete").delete(key, allow_unconfirmed=allow_unconfirmed)

    async def delete_many(self, keys: Sequence[str], *, allow_unconfirmed: bool = False) -> int:
        """As `Storage.delete_many`."""
        return await self._open("delete").delete_many(keys, allow_unconfirmed=allow_unconfirmed)

    async def list(self, **options: Any) -> dict[str, Any]:
        """As `Storage.list`."""
        return await self._open("list").list(**options)

    async def get_alarm(self, *, name: str | None = None) -> float | None:
        """As `Storage.get_alarm`."""
        return await self._open("get_alarm").get_alarm(name=name)

    async def set_alarm(
        self,
        when: float | datetime | timedelta,
        *,
        name: str | None = None,
        allow_unconfirmed: bool = False,
    ) -> None:
        """As `Storage.set_alarm`."""
        storage = self._open("set_alarm")
        await storage.set_alarm(when, name=name, allow_unconfirmed=allow_unconfirmed)

    async def delete_alarm(
        self, *, name: str | None = None, allow_unconfirmed: bool = False
    ) -> None:
        """As `Storage.delete_alarm`."""
        storage = self._open("delete_alarm")
        await storage.delete_alarm(name=name, allow_unconfirmed=allow_unconfirmed)

    def rollback(self) -> None:
        """Undo all of it now. The closure goes on, and its result is still returned.

        Raises:
            StorageError: If a transaction inside this one is running, or this one is over.
        """
        if self._ended != "rolled back":
            self._open("rollback")
            if self._storage._transactions[-1] is not self:
                raise StorageError(
                    "Cannot roll back an outer transaction while a nested transaction is still "
                    "running."
                )
            self._end("rolled back", keep=False)

    def _open(self, operation: str) -> Storage:
        if self._ended == "rolled back":
            raise StorageError(f"Cannot {operation}() on rolled back transaction")
        if self._ended is not None:
            raise StorageError(
                f"Cannot call {operation}() on transaction that has already committed: did you "
                "move `txn` outside of the closure?"
            )
        return self._storage

    def _end(self, how: str, *, keep: bool) -> None:
        if self._ended is None:
            self._ended = how
            self._storage._transactions.remove(self)
            self._storage._database.leave(keep=keep)
