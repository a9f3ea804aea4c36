"""The feed: whoever comes back is told what they have missed, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import DurableObject, DurableObjectState, Request, Response, errors
from runtime.patterns.feed import Feed
from runtime.testing import ClientSocket, TestRuntime
from tests.conftest import StartRuntime

MAX_EVENTS = 5
MAX_BYTES = 200
BEGINNING = "0-0"


class Board(DurableObject[Any]):
    """Lines that people write, and a feed of them."""

    migrations = (
        "CREATE TABLE lines (seq INTEGER PRIMARY KEY, text TEXT NOT NULL)",
        Feed.schema(),
        Feed.schema("hints"),
    )

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.feed = Feed(ctx, max_events=MAX_EVENTS, max_bytes=MAX_BYTES)
        self.hints = Feed(ctx, "hints", tag="hinted")

    async def write(self, text: str) -> str:
        sql = self.ctx.storage.sql
        seq = sql.exec("INSERT INTO lines (text) VALUES (?) RETURNING seq", text).one()["seq"]
        return self.feed.publish(lambda cursor: f"{cursor} {seq} {text}\n")

    async def write_and_fail(self, text: str) -> None:
        await self.write(text)
        self.ctx.abort("out of paper")

    async def hint(self, text: str) -> str:
        return self.hints.publish(lambda cursor: f"{cursor} {text}\n")

    async def lines(self) -> dict[int, str]:
        rows = self.ctx.storage.sql.exec("SELECT seq, text FROM lines")
        return {row["seq"]: row["text"] for row in rows}

    async def missed(self, cursor: str) -> list[str] | None:
        return self.feed.missed(cursor)

    async def cursor(self) -> str:
        return self.feed.cursor

    async def kept(self) -> list[int]:
        rows = self.ctx.storage.sql.exec("SELECT number FROM feed ORDER BY number")
        return [row["number"] for row in rows]

    async def bookmark(self) -> str:
        return await self.ctx.storage.get_current_bookmark()

    async def go_back(self, bookmark: str) -> None:
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.abort("going back")

    async def burn(self) -> None:
        await self.ctx.storage.delete_all()

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket, tags=["hinted"] * ("hints" in request.query))
        missed = self.feed.missed(request.query["since"])
        if missed is None:
            afresh = "".join(f"{seq} {text}\n" for seq, text in (await self.lines()).items())
            request.web_socket.send(f"all {self.feed.cursor}\n{afresh}")
        for event in missed or ():
            request.web_socket.send(event)
        return Response.switching_protocols()


class Reader:
    """A page that shows lines, may be without a connection, and then goes on."""

    def __init__(self) -> None:
        self.shown: dict[int, str] = {}  # by place, in the order in which they have come
        self.cursor = BEGINNING
        self.socket: ClientSocket | None = None

    async def connect(self, runtime: TestRuntime[Any], board: Board) -> None:
        await self.disconnect()
        self.socket = await runtime.connect(board, f"/?since={self.cursor}")

    def read(self, count: int | None = None, *, is_cut_off: bool = False) -> None:
        """Apply what has come. If it is cut off, the cursor of the last event isn't noted."""
        assert self.socket is not None
        for _ in range(len(self.socket.received) if count is None else count):
            before = self.cursor
            self._apply(str(self.socket.received.popleft()))
        if is_cut_off and count:
            self.cursor = before

    def _apply(self, frame: str) -> None:
        head, _, rest = frame.rstrip("\n").partition("\n" if frame.startswith("all ") else " ")
        if head.startswith("all "):
            self.shown = {}
            self.cursor = head.removeprefix("all ")
        else:
            self.cursor = head
        for line in filter(None, rest.split("\n")):
            seq, text = line.split(" ", 1)
            assert int(seq) <= len(self.shown) + 1, "a gap, or out of order"
            assert self.shown.setdefault(int(seq), text) == text

    async def disconnect(self) -> None:
        if self.socket is not None:
            await self.socket.vanish()
            self.socket = None


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with boards."""
    started: TestRuntime[Any] = await start_runtime(boards=Board)
    return started


@pytest.fixture
def board(runtime: TestRuntime[Any]) -> Board:
    """One of them."""
    board: Board = runtime.env.boards.get_by_name("hall")
    return board


async def test_events_are_numbered_from_one_without_gaps(board: Board) -> None:
    cursors = await asyncio.gather(*(board.write("a line") for _ in range(12)))

    assert [cursor.split("-")[0] for cursor in cursors] == [str(n) for n in range(1, 13)]
    assert await board.cursor() == cursors[-1]


async def test_a_new_feed_begins_before_its_first_event(board: Board) -> None:
    assert await board.cursor() == BEGINNING
    assert await board.missed(BEGINNING) == []
    first = await board.write("one")
    assert await board.missed(BEGINNING) == [f"{first} 1 one\n"]


async def test_whoever_is_connected_gets_each_event_as_it_is_kept(
    runtime: TestRuntime[Any], board: Board
) -> None:
    client = await runtime.connect(board, f"/?since={BEGINNING}")

    await board.write("one")
    await board.write("two")

    assert list(client.received) == await board.missed(BEGINNING)


async def test_whoever_comes_back_gets_what_they_have_missed_before_what_is_new(
    runtime: TestRuntime[Any], board: Board
) -> None:
    seen = await board.write("seen")
    await board.write("missed")
    client = await runtime.connect(board, f"/?since={seen}")
    await board.write("new")

    assert [str(event).split()[-1] for event in client.received] == ["missed", "new"]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["x"] * MAX_EVENTS, MAX_EVENTS),
        (["x"] * (MAX_EVENTS + 1), None),
        (["x" * (MAX_BYTES - 14)], 1),
        (["x" * (MAX_BYTES - 13)], None),
        (["ä" * (MAX_BYTES // 2 - 7)], 1),
        (["ä" * (MAX_BYTES // 2 - 6)], None),
    ],
)
async def test_what_is_more_than_the_limits_is_not_told(
    board: Board, texts: list[str], told: int | None
) -> None:
    seen = await board.write("seen")
    for text in texts:
        await board.write(text)

    missed = await board.missed(seen)

    assert (None if missed is None else len(missed)) == told


async def test_what_nobody_is_told_any_more_is_deleted_and_numbers_go_on(board: Board) -> None:
    for _ in range(20):
        await board.write("x")
    by_count = await board.kept()
    await board.write("x" * 10 * MAX_BYTES)
    by_bytes = await board.kept()
    cursor = await board.write("x")

    assert by_count == list(range(20 - MAX_EVENTS, 21))
    assert by_bytes == [21]
    assert cursor.startswith("22-")
    assert await board.kept() == [21, 22]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "2",
        "2-",
        "2-00000000",
        "3-0",
        "99-1234abcd",
        "-1-0",
        "x",
        "9" * 19 + "-0",
        "٢-0",
        "0-0 ",
    ],
)
async def test_what_is_no_cursor_of_the_feed_is_unknown(board: Board, cursor: str) -> None:
    await board.write("one")
    await board.write("two")

    assert await board.missed(cursor) is None


async def test_a_cursor_of_before_everything_was_deleted_is_unknown(board: Board) -> None:
    ahead = [await board.write("old") for _ in range(3)]

    await board.burn()
    right_after = [await board.missed(cursor) for cursor in ahead]
    anew = [await board.write("new") for _ in range(3)]

    assert right_after == [None] * 3
    assert [await board.missed(cursor) for cursor in ahead] == [None] * 3
    assert [cursor.split("-")[0] for cursor in anew] == ["1", "2", "3"]


async def test_a_cursor_of_a_past_that_was_left_is_unknown_though_its_number_is_given_again(
    board: Board,
) -> None:
    common = await board.write("common")
    bookmark = await board.bookmark()
    undone = await board.write("undone")

    with pytest.raises(errors.ObjectReset, match="going back"):
        await board.go_back(bookmark)
    right_after = await board.missed(undone)
    again = await board.write("done instead")

    assert right_after is None
    assert undone.split("-")[0] == again.split("-")[0] == "2"
    assert await board.missed(undone) is None
    assert await board.missed(common) == [f"{again} 2 done instead\n"]


async def test_an_event_whose_change_is_lost_is_lost_as_well(
    runtime: TestRuntime[Any], board: Board
) -> None:
    before = await board.write("kept")
    client = await runtime.connect(board, f"/?since={before}")

    with pytest.raises(errors.ObjectReset, match="out of paper"):
        await board.write_and_fail("lost")

    assert list(client.received) == []
    assert await board.missed(before) == []
    assert await board.lines() == {1: "kept"}


async def test_it_goes_on_after_a_crash(runtime: TestRuntime[Any], board: Board) -> None:
    cursors = [await board.write(text) for text in ("one", "two")]

    await runtime.crash()

    assert await board.missed(cursors[0]) == [f"{cursors[1]} 2 two\n"]
    assert (await board.write("three")).startswith("3-")


async def test_an_object_may_have_several_feeds_with_their_own_numbers_and_readers(
    runtime: TestRuntime[Any], board: Board
) -> None:
    plain = await runtime.connect(board, f"/?since={BEGINNING}")
    hinted = await runtime.connect(board, f"/?since={BEGINNING}&hints")

    line = await board.write("a line")
    hint = await board.hint("a hint")

    assert line.split("-")[0] == hint.split("-")[0] == "1"
    assert list(plain.received) == [f"{line} 1 a line\n"]
    assert list(hinted.received) == [f"{line} 1 a line\n", f"{hint} a hint\n"]


@pytest.mark.parametrize("name", ["", "two words", "1st", 'feed"', "färbe"])
def test_a_feed_is_named_by_an_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="is an identifier"):
        Feed.schema(name)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 120)),
        st.tuples(st.sampled_from(["connect", "read", "cut off"]), st.integers(0, 1)),
        st.tuples(st.sampled_from(["evict", "crash", "burn", "mark", "go back"]), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
async def test_whatever_happens_each_page_shows_every_line_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    async with TestRuntime(bindings={"boards": Board}) as runtime:
        board: Board = runtime.env.boards.get_by_name("hall")
        readers = [Reader(), Reader()]
        await board.write("at first")
        bookmark = await board.bookmark()
        # A page that shows what its cursor doesn't tell can't know that it was undone.
        may_lag = {("go back", 0), ("burn", 0)}.isdisjoint(steps)
        for step, argument in steps:
            match step:
                case "write":
                    await board.write(f"{argument:x<{argument}}")
                case "connect":
                    await readers[argument].connect(runtime, board)
                case "read" if readers[argument].socket is not None:
                    readers[argument].read()
                case "cut off" if (socket := readers[argument].socket) is not None:
                    readers[argument].read(min(2, len(socket.received)), is_cut_off=may_lag)
                    await readers[argument].disconnect()
                case "evict":
                    await board.cursor()
                    await runtime.evict_durable_object(board)
                case "crash":
                    await runtime.crash()
                case "burn":
                    await board.burn()
                    await board.write("at first")
                    bookmark = await board.bookmark()
                    for reader in readers:
                        await reader.disconnect()
                case "mark":
                    bookmark = await board.bookmark()
                case "go back":
                    with pytest.raises(errors.ObjectReset):
                        await board.go_back(bookmark)
        for reader in readers:
            await reader.connect(runtime, board)
            reader.read()
            assert reader.shown == await board.lines()
            assert list(reader.shown) == sorted(reader.shown)
