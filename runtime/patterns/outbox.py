"""Letters to other objects, written in one commit with what they tell of, and delivered afterwards.

A call to another object can't be part of a commit: the process may die between them. So what is to
be told is written down beside what has happened, and an alarm delivers it, again until the receiver
has answered: the transactional outbox (Richardson, "Microservices Patterns", 2018, section 3.3).
A letter may come twice, so its receiver needs a `letterbox`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from runtime import AlarmInvocation, DurableObjectState

_NEXT: Final = """failure IS NULL AND number IN (
    SELECT min(number) FROM {} WHERE failure IS NULL GROUP BY receiver)"""

_NOW: Final = 1.0  # a time that is over
AT_ONCE: Final = 20  # receivers that are called at a time


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that another object is to hear."""

    id: str
    """No other letter of any object has it."""
    to: str
    """Whom it is for, as the sender calls them."""
    body: Any
    attempts: int = 0
    """How often it couldn't be delivered."""
    failure: str | None = None
    """Why not, once that is given up."""


class Outbox:
    """What an object has to tell others.

    Invariants:
        - A letter is there exactly if what was written beside it is.
        - It is delivered at least once, or kept as dead.
        - Each receiver gets its letters in order, one at a time; a dead one lets the next pass.

    Args:
        ctx: The object's. Its migrations must include `schema`, and its class needs a method
            `alarm`, which calls `alarm` here.
        deliver: Calls the receiver. If it raises, whatever it is, it is tried again later.
        name: Of the table and of the alarm, an identifier.
        attempts: After so many a letter is dead.
        first_retry_seconds: Doubled for each further one, up to an hour.
    """

    def __init__(
        self,
        ctx: DurableObjectState,
        deliver: Callable[[Letter], Awaitable[object]],
        *,
        name: str = "outbox",
        attempts: int = 12,
        first_retry_seconds: float = 1.0,
    ) -> None:
        self._ctx = ctx
        self._deliver = deliver
        self._name = name
        self._table = _table(name)
        self._attempts = attempts
        self._first_retry_seconds = first_retry_seconds

    @staticmethod
    def schema(name: str = "outbox") -> str:
        """Return the migration that makes the table."""
        return (
            f"CREATE TABLE {_table(name)} (number INTEGER PRIMARY KEY AUTOINCREMENT, "
            "id TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL, body TEXT NOT NULL, "
            "attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, failure TEXT); "
            f"CREATE INDEX {_table(name + '_waiting')} ON {_table(name)} (receiver, number) "
            "WHERE failure IS NULL"
        )

    async def send(self, to: str, body: Any) -> str:
        """Write a letter, to be delivered after this commit, and return its id.

        It waits for nothing, so what is written before and after it is one commit with it.

        Args:
            to: Whom it is for.
            body: What JSON can say.

        Raises:
            TypeError: If JSON can't say it. Nothing was written.
        """
        id = secrets.token_hex(16)
        self._run("INSERT INTO {} (id, receiver, body) VALUES (?, ?, ?)", id, to, json.dumps(body))
        await self._ctx.storage.set_alarm(_NOW, name=self._name)  # which looks what is due
        return id

    async def alarm(self, invocation: AlarmInvocation) -> bool:
        """Deliver what is due. An alarm of another name does nothing here, and returns False."""
        if invocation.name != self._name:
            return False
        letters = self._due()
        calls = (self._deliver(letter) for letter in letters)
        # As results, because whatever has gone wrong, the others' letters are delivered.
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for letter, outcome in zip(letters, outcomes, strict=True):
            self._settle(letter, outcome)
        await self._schedule()
        return True

    def waiting(self) -> int:
        """Return how many letters are still to be delivered."""
        return int(self._run("SELECT count(*) AS n FROM {} WHERE failure IS NULL")[0]["n"])

    def dead(self) -> list[Letter]:
        """Return the letters that were given up, oldest first."""
        return self._letters("failure IS NOT NULL ORDER BY number")

    async def revive(self, id: str) -> bool:
        """Try a dead letter again, from the beginning. Returns whether there is one."""
        found = self._run(
            "UPDATE {} SET failure = NULL, attempts = 0, due = 0 "
            "WHERE id = ? AND failure IS NOT NULL RETURNING id",
            id,
        )
        await self._schedule()
        return bool(found)

    def _due(self) -> list[Letter]:
        is_due = f"{_NEXT} AND due <= unixepoch('subsec')"
        return self._letters(f"{is_due} ORDER BY due, number LIMIT ?", AT_ONCE)

    def _settle(self, letter: Letter, outcome: object) -> None:
        if not isinstance(outcome, BaseException):
            self._run("DELETE FROM {} WHERE id = ?", letter.id)
            return
        is_dead = letter.attempts + 1 >= self._attempts
        self._run(
            "UPDATE {} SET attempts = attempts + 1, failure = ?, "
            "due = unixepoch('subsec') + ? WHERE id = ?",
            f"{type(outcome).__name__}: {outcome}" if is_dead else None,
            min(3600.0, self._first_retry_seconds * 2**letter.attempts),
            letter.id,
        )

    async def _schedule(self) -> None:
        first = self._run(f"SELECT min(due) AS due FROM {{}} WHERE {_NEXT}")[0]["due"]
        if first is not None:
            await self._ctx.storage.set_alarm(max(first, _NOW), name=self._name)

    def _letters(self, where: str, *bindings: Any) -> list[Letter]:
        columns = "id, receiver AS 'to', body, attempts, failure"
        rows = self._run(f"SELECT {columns} FROM {{}} WHERE {where}", *bindings)
        return [Letter(**{**row, "body": json.loads(row["body"])}) for row in rows]

    def _run(self, statement: str, *bindings: Any) -> list[dict[str, Any]]:
        return self._ctx.storage.sql.exec(
            statement.replace("{}", self._table), *bindings
        ).to_array()


def _table(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"a table's name is an identifier, not {name!r}")
    return f'"{name}"'
