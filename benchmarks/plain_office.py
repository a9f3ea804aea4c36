"""Booking as one would write it without us: ``python -m benchmarks.plain_office PORT DATA``.

FastAPI on uvicorn, one SQLite file that syncs every commit, and a lock for each event. It keeps
what ours keeps: seats, holds with a deadline and their prices, idempotency keys, orders, and the
payment provider's books, which are a file of their own as they are with a real one. And it promises
the same: what is confirmed is durable, and no payment is forgotten if the process dies. So a
purchase has four commits: the hold, that it is being paid, the provider's, that it is paid.

With ``--one-file`` the payment is a row beside the order, and a purchase has two commits. That is
as quick as it gets, and possible only as long as the money is in the same database.
"""

import argparse
import asyncio
import hashlib
import json
import secrets
import sqlite3
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse
from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import BaseModel, Field

from benchmarks.processes import raise_file_limit

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE events (slug TEXT PRIMARY KEY, title TEXT, rows INTEGER, width INTEGER, price INTEGER);
CREATE TABLE seats (event TEXT, number INTEGER, name TEXT, hold TEXT, is_sold INTEGER DEFAULT 0,
    PRIMARY KEY (event, name)) WITHOUT ROWID;
CREATE TABLE holds (id TEXT PRIMARY KEY, event TEXT, owner TEXT, seats TEXT, total INTEGER,
    expires_at REAL, state TEXT, paid_at REAL);
CREATE INDEX holds_due ON holds (expires_at) WHERE state = 'held';
CREATE TABLE keys (key TEXT PRIMARY KEY, parameters TEXT, answer TEXT);
"""
PROVIDER = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE charges (id TEXT PRIMARY KEY, amount INTEGER, state TEXT);
"""
HOLD_SECONDS = 600


class Name(BaseModel):
    name: str = Field(min_length=1, max_length=32)


class NewEvent(BaseModel):
    slug: str
    title: str
    rows: int = Field(ge=1, le=200)
    seats_per_row: int = Field(ge=1, le=100)
    price: int = Field(ge=0)


class NewHold(BaseModel):
    seats: list[str] = Field(min_length=1, max_length=50)


class Office:
    """The database, and the locks."""

    def __init__(self, data: Path, *, has_one_file: bool) -> None:
        self.database = sqlite3.connect(data / "plain.sqlite", isolation_level=None)
        self.database.executescript(SCHEMA)
        self.provider = self.database
        if not has_one_file:
            self.provider = sqlite3.connect(data / "provider.sqlite", isolation_level=None)
        self.provider.executescript(PROVIDER)
        self.has_one_file = has_one_file
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.tokens = URLSafeTimedSerializer(secrets.token_bytes(32), salt="guest")

    def who(self, authorization: Annotated[str, Header()]) -> str:
        """Return whose token it is."""
        try:
            id, _ = self.tokens.loads(authorization.removeprefix("Bearer "), max_age=10**6)
        except BadSignature as error:
            raise HTTPException(401, "who are you?") from error
        return str(id)

    def expire(self, event: str, now: float) -> None:
        """Let go of what is overdue."""
        query = "SELECT id FROM holds WHERE state = 'held' AND expires_at <= ? AND event = ?"
        for (hold,) in self.database.execute(query, (now, event)).fetchall():
            self.database.execute("UPDATE holds SET state = 'expired' WHERE id = ?", (hold,))
            self.database.execute(
                "UPDATE seats SET hold = NULL WHERE event = ? AND hold = ?", (event, hold)
            )

    def alternatives(self, event: str, seat: str, count: int) -> list[str]:
        """Return free seats nearby."""
        rows = self.database.execute(
            "SELECT name FROM seats WHERE event = ?1 AND hold IS NULL ORDER BY abs(number - "
            "(SELECT number FROM seats WHERE event = ?1 AND name = ?2)) LIMIT ?3",
            (event, seat, count),
        )
        return [name for (name,) in rows]

    def hold(self, event: str, owner: str, seats: list[str], now: float) -> dict[str, Any] | None:
        """Hold seats, if they are free."""
        self.expire(event, now)
        marks = ", ".join("?" * len(seats))
        price = self.database.execute(
            "SELECT price FROM events WHERE slug = ?", (event,)
        ).fetchone()
        free = self.database.execute(
            f"SELECT count(*) FROM seats WHERE event = ? AND name IN ({marks}) AND hold IS NULL",
            (event, *seats),
        ).fetchone()
        if free[0] < len(seats):
            return None
        id, total = f"{event}.{secrets.token_hex(8)}", price[0] * len(seats)
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute(
            "INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, 'held', NULL)",
            (id, event, owner, json.dumps(seats), total, now + HOLD_SECONDS),
        )
        self.database.execute(
            f"UPDATE seats SET hold = ? WHERE event = ? AND name IN ({marks})", (id, event, *seats)
        )
        self.database.execute("COMMIT")
        return {"hold_id": id, "seats": seats, "total": total, "expires_at": now + HOLD_SECONDS}

    def confirm(self, id: str, owner: str, key: str, now: float) -> dict[str, Any]:
        """Pay for a hold, once for each key."""
        parameters = hashlib.sha256(id.encode()).hexdigest()
        if key:
            row = self.database.execute(
                "SELECT parameters, answer FROM keys WHERE key = ?", (f"{owner}:{key}",)
            ).fetchone()
            if row and row[0] != parameters:
                raise HTTPException(422, "this key was used for something else")
            if row and row[1]:
                answer: dict[str, Any] = json.loads(row[1])
                return answer
        hold = self.database.execute(
            "SELECT event, owner, seats, total, expires_at, state FROM holds WHERE id = ?", (id,)
        ).fetchone()
        if hold is None:
            raise HTTPException(404, "there is no such hold")
        event, whose, seats, total, expires_at, state = hold
        if whose != owner:
            raise HTTPException(403, "these seats are somebody else's")
        if state != "held" or expires_at <= now:
            raise HTTPException(410 if expires_at <= now else 409, state)
        order = {
            "order_id": id,
            "event": event,
            "seats": json.loads(seats),
            "total": total,
            "state": "confirmed",
            "paid_at": now,
        }
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute("UPDATE holds SET state = 'confirming' WHERE id = ?", (id,))
        if key:
            self.database.execute(
                "INSERT INTO keys VALUES (?, ?, NULL)", (f"{owner}:{key}", parameters)
            )
        if not self.has_one_file:
            self.database.execute("COMMIT")
        self.provider.execute("INSERT INTO charges VALUES (?, ?, 'succeeded')", (id, total))
        if not self.has_one_file:
            self.database.execute("BEGIN IMMEDIATE")
        self.database.execute(
            "UPDATE holds SET state = 'confirmed', paid_at = ? WHERE id = ?", (now, id)
        )
        self.database.execute(
            f"UPDATE seats SET is_sold = 1 WHERE event = ? AND name IN "
            f"({', '.join('?' * len(order['seats']))})",
            (event, *order["seats"]),
        )
        if key:
            self.database.execute(
                "UPDATE keys SET answer = ? WHERE key = ?", (json.dumps(order), f"{owner}:{key}")
            )
        self.database.execute("COMMIT")
        return order


def create_app(data: Path, *, has_one_file: bool) -> FastAPI:
    """Return the application. It blocks the loop for a sync: a thread for each is slower."""
    app = FastAPI(openapi_url=None)
    office = Office(data, has_one_file=has_one_file)
    Who = Annotated[str, Depends(office.who)]

    @app.post("/api/identity", status_code=201)
    async def identify(wanted: Name) -> dict[str, str]:
        return {"token": str(office.tokens.dumps([secrets.token_hex(8), wanted.name]))}

    @app.post("/api/booking/events", status_code=201)
    async def create_event(wanted: NewEvent, owner: Who) -> dict[str, str]:
        width = wanted.seats_per_row
        seats = [
            (wanted.slug, row * width + place, f"{chr(65 + row)}{place + 1}")
            for row in range(wanted.rows)
            for place in range(width)
        ]
        with office.database:
            office.database.execute("BEGIN IMMEDIATE")
            office.database.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                (wanted.slug, wanted.title, wanted.rows, width, wanted.price),
            )
            office.database.executemany(
                "INSERT INTO seats (event, number, name) VALUES (?, ?, ?)", seats
            )
        return {"slug": wanted.slug}

    @app.get("/api/booking/events/{event}")
    async def show_event(event: str) -> dict[str, int]:
        row = office.database.execute(
            "SELECT sum(hold IS NULL), sum(hold IS NOT NULL AND NOT is_sold), sum(is_sold) "
            "FROM seats WHERE event = ?",
            (event,),
        ).fetchone()
        return dict(zip(("free", "held", "sold"), row, strict=True))

    @app.post("/api/booking/events/{event}/holds", status_code=201)
    async def hold(event: str, wanted: NewHold, owner: Who) -> Any:
        async with office.locks[event]:
            held = office.hold(event, owner, wanted.seats, time.time())
        if held is None:
            alternatives = office.alternatives(event, wanted.seats[0], len(wanted.seats))
            problem = {"status": 409, "detail": "taken", "alternatives": alternatives}
            return JSONResponse(problem, 409)
        return held

    @app.post("/api/booking/holds/{hold}/confirm")
    async def confirm(
        hold: str, owner: Who, idempotency_key: Annotated[str, Header()] = ""
    ) -> dict[str, Any]:
        async with office.locks[hold.partition(".")[0]]:
            return office.confirm(hold, owner, idempotency_key, time.time())

    return app


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_office")
    parser.add_argument("port", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--one-file", action="store_true")
    arguments = parser.parse_args()
    raise_file_limit()
    uvicorn.run(
        create_app(arguments.data, has_one_file=arguments.one_file),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main()
