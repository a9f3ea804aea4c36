"""What holds for a room as a whole: who has made it, its rules, what was done in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.chat.domain import AuditRow, Person, Rules
from apps.chat.store.rows import moment
from runtime import SqlStorage

MOST_AUDITED = 500  # what was done before isn't told any more
AUDIT_PAGE = 100


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room that has been opened, or spoken in."""

    creator_id: str | None
    title: str
    slow_seconds: int

    @property
    def rules(self) -> Rules:
        return Rules(self.slow_seconds)


def room(sql: SqlStorage) -> RoomRow | None:
    """Return what holds for the room; None if nobody has opened it or spoken yet."""
    return sql.exec("SELECT creator_id, title, slow_seconds FROM room", row=RoomRow).next()


def open_room(sql: SqlStorage, creator: Person | None, title: str = "") -> None:
    """Begin a room. A second time does nothing."""
    sql.exec(
        "INSERT OR IGNORE INTO room (creator_id, title) VALUES (?, ?)",
        creator.id if creator else None,
        title,
    )


def set_rules(sql: SqlStorage, rules: Rules) -> None:
    """Set what holds for everybody."""
    sql.exec("UPDATE room SET slow_seconds = ?", rules.slow_seconds)


def take_news(sql: SqlStorage, *state: Any) -> bool:
    """Whether the room isn't any more as it was when this was asked last."""
    changed = sql.exec(
        "UPDATE room SET told = ?1 WHERE told != ?1 RETURNING one", json.dumps(state)
    )
    return changed.next() is not None


def note(sql: SqlStorage, by: Person, action: str, whom: Person | None, detail: str = "") -> None:
    """Keep what the room's creator has done."""
    sql.exec(
        "INSERT INTO audit (by_id, by_name, action, whom_id, whom_name, detail) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        by.id,
        by.name,
        action,
        whom.id if whom else None,
        whom.name if whom else None,
        detail,
    )
    sql.exec("DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?", MOST_AUDITED)


def audit(sql: SqlStorage) -> list[AuditRow]:
    """Return what was done, newest first."""
    return sql.exec(
        "SELECT at, by_id, by_name, action, whom_id, whom_name, detail FROM audit "
        "ORDER BY number DESC LIMIT ?",
        AUDIT_PAGE,
        row=_audit_row,
    ).to_array()


def _audit_row(**row: Any) -> AuditRow:
    whom = None if row["whom_id"] is None else Person(row["whom_id"], row["whom_name"])
    by = Person(row["by_id"], row["by_name"])
    return AuditRow(moment(row["at"]), by, row["action"], whom, row["detail"])
