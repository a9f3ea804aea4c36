"""Keys and values: what is kept, and the order in which it is listed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ObjectReset, SqlError, StorageError
from runtime.kv import SyncKvStorage
from runtime.sql import Database
from tests.runtime.databases import Ledger

bounded = settings(max_examples=40, derandomize=True, database=None, deadline=None)

LAST = "\U0010ffff"
BEFORE_SURROGATES = "\ud7ff"


@pytest.fixture
def kv(database: Database) -> SyncKvStorage:
    return SyncKvStorage(database, lambda: None)


@pytest.fixture
def menu(kv: SyncKvStorage) -> SyncKvStorage:
    """The four keys of the original's own tests."""
    for key in ("foo", "bar", "qux", "baz"):
        kv.put(key, key.upper())
    return kv


def keys(kv: SyncKvStorage, **options: Any) -> list[str]:
    return [key for key, _ in kv.list(**options)]


# One key.


@pytest.mark.parametrize(
    "value",
    [
        None,
        False,
        0,
        2**70,
        1.5,
        "",
        b"\0",
        [1, [2]],
        (1, "a"),
        {1, 2},
        {"a": {2: ()}},
        datetime(2030, 1, 2, tzinfo=UTC),
    ],
)
def test_a_value_comes_back_as_it_was_put(kv: SyncKvStorage, value: Any) -> None:
    kv.put("key", value)

    assert (kv.get("key"), type(kv.get("key"))) == (value, type(value))


def test_a_value_is_copied_in_and_out(kv: SyncKvStorage) -> None:
    value = {"seats": ["A1"]}
    kv.put("key", value)

    value["seats"].append("B1")
    kv.get("key")["seats"].append("C1")

    assert kv.get("key") == {"seats": ["A1"]}


def test_a_missing_key_reads_as_none_or_the_default(kv: SyncKvStorage) -> None:
    assert (kv.get("missing"), kv.get("missing", 5)) == (None, 5)

    kv.put("other", 1)

    assert (kv.get("missing"), kv.get("missing", 5)) == (None, 5)


def test_a_value_that_is_none_is_no_missing_key(kv: SyncKvStorage) -> None:
    kv.put("key", None)

    assert kv.get("key", 5) is None
    assert kv.delete("key")


def test_put_replaces_what_was_there(kv: SyncKvStorage) -> None:
    kv.put("key", 1)
    kv.put("key", "two")

    assert list(kv.list()) == [("key", "two")]


def test_delete_says_whether_there_was_such_a_key(kv: SyncKvStorage, commits: Ledger) -> None:
    assert kv.delete("key") is False
    kv.put("key", 1)

    assert [kv.delete("key"), kv.delete("key"), kv.get("key")] == [True, False, None]


def test_reading_and_deleting_nothing_is_no_write(kv: SyncKvStorage, commits: Ledger) -> None:
    kv.get("key")
    kv.delete("key")
    list(kv.list())

    assert commits.heard.count("begun") == 0


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "é", "😀", LAST, "a" * 100_000])
def test_any_text_can_be_a_key(kv: SyncKvStorage, key: str) -> None:
    kv.put(key, "value")
    kv.put(key + "x", "other")

    assert kv.get(key) == "value"
    assert kv.delete(key)
    assert keys(kv) == [key + "x"]


@pytest.mark.parametrize("key", [None, 5, b"key", ["key"]])
def test_nothing_else_can_be_a_key(kv: SyncKvStorage, key: Any) -> None:
    for use in (kv.get, kv.delete, lambda key: kv.put(key, 1)):
        with pytest.raises(TypeError, match=r"^a key is text, not "):
            use(key)


@pytest.mark.parametrize("bound", ["start", "start_after", "end", "prefix"])
@pytest.mark.parametrize("key", [5, b"key", 0])
def test_nothing_else_can_be_a_bound(kv: SyncKvStorage, bound: str, key: Any) -> None:
    with pytest.raises(TypeError, match=r"^a key is text, not "):
        kv.list(**{bound: key})


def test_a_key_that_cant_be_written_in_utf8_is_refused(kv: SyncKvStorage) -> None:
    with pytest.raises((TypeError, StorageError)):
        kv.put("\ud800", 1)


@pytest.mark.parametrize("value", [object(), [object()], print])
def test_a_value_that_cant_be_kept_leaves_the_one_before(kv: SyncKvStorage, value: Any) -> None:
    kv.put("key", 1)

    with pytest.raises(TypeError, match="can't be stored"):
        kv.put("key", value)

    assert kv.get("key") == 1


def test_a_key_of_four_million_bytes_can_be_kept(kv: SyncKvStorage) -> None:
    kv.put("k" * 4_000_000, 1)

    assert kv.get("k" * 4_000_000) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("k" * (4 * 1024 * 1024 + 1), 1), ("k", bytes(4 * 1024 * 1024)), ("k", "é" * 2**21)],
)
def test_a_pair_of_more_than_four_mebibytes_is_refused(
    kv: SyncKvStorage, key: str, value: Any
) -> None:
    kv.put("k", "before")

    with pytest.raises(SqlError, match=r"string or blob too big: SQLITE_TOOBIG$"):
        kv.put(key, value)

    assert list(kv.list()) == [("k", "before")]


def test_every_use_is_checked(database: Database) -> None:
    def refuse() -> None:
        raise ObjectReset("broken")

    kv = SyncKvStorage(database, refuse)

    for use in (kv.get, kv.delete, lambda key: kv.put(key, 1), lambda _: kv.list()):
        with pytest.raises(ObjectReset):
            use("key")
    assert not database.is_open


# Transactions.


def test_a_rollback_that_takes_the_table_away_takes_the_keys_only(
    kv: SyncKvStorage, database: Database
) -> None:
    kv.put("a", 1)
    database.rollback()
    assert (kv.get("a"), keys(kv), kv.delete("a")) == (None, [], False)

    kv.put("b", 2)
    database.commit()

    assert keys(kv) == ["b"]


def test_an_inner_rollback_takes_back_only_its_own_keys(
    kv: SyncKvStorage, database: Database
) -> None:
    kv.put("a", 1)
    database.enter()
    kv.put("b", 2)
    kv.delete("a")
    database.leave(keep=False)
    database.commit()

    assert keys(kv) == ["a"]


def test_keys_can_be_read_after_a_transaction_was_refused(
    kv: SyncKvStorage, database: Database
) -> None:
    with pytest.raises(SqlError, match="To execute a transaction"):
        database.execute("BEGIN", ())

    assert kv.get("key", 5) == 5


# Listing.


def test_keys_are_listed_by_their_bytes_in_utf8(kv: SyncKvStorage) -> None:
    """In UTF-16, JavaScript's own order, the last two would change places."""
    ordered = ["", "\0", "A", "a", "a\0", "aa", "z", "é", BEFORE_SURROGATES, "\ue000", "\uffff"]
    ordered += ["😀", LAST]
    for key in reversed(ordered):
        kv.put(key, key)

    assert keys(kv) == ordered
    assert keys(kv, reverse=True) == ordered[::-1]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "bar baz foo qux"),
        ({"start": "cat"}, "foo qux"),
        ({"start": "foo"}, "foo qux"),
        ({"start": "fop"}, "qux"),
        ({"start": "foo "}, "qux"),
        ({"start_after": "foo"}, "qux"),
        ({"start_after": "fo"}, "foo qux"),
        ({"end": "foo"}, "bar baz"),
        ({"end": "fop"}, "bar baz foo"),
        ({"end": ""}, ""),
        ({"start": "foo", "end": "foo"}, ""),
        ({"start": "qux", "end": "bar"}, ""),
        ({"prefix": "ba"}, "bar baz"),
        ({"prefix": ""}, "bar baz foo qux"),
        ({"prefix": "ba", "start": "bas"}, "baz"),
        ({"prefix": "ba", "start": "c"}, ""),
        ({"prefix": "ba", "start_after": "bar"}, "baz"),
        ({"prefix": "ba", "end": "baz"}, "bar"),
        ({"prefix": "ba", "end": "a"}, ""),
        ({"prefix": "ba", "end": "z"}, "bar baz"),
        ({"limit": 2}, "bar baz"),
        ({"limit": 99}, "bar baz foo qux"),
        ({"reverse": True}, "qux foo baz bar"),
        ({"reverse": True, "start": "foo"}, "qux foo"),
        ({"reverse": True, "end": "foo"}, "baz bar"),
        ({"reverse": True, "limit": 2}, "qux foo"),
        ({"reverse": True, "end": "foo", "limit": 1}, "baz"),
        ({"reverse": True, "prefix": "ba", "limit": 1}, "baz"),
        ({"reverse": True, "start_after": "bar"}, "qux foo baz"),
    ],
)
def test_bounds_prefix_limit_and_direction_choose_the_keys(
    menu: SyncKvStorage, options: dict[str, Any], found: str
) -> None:
    assert keys(menu, **options) == found.split()


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        (LAST, [LAST, LAST + "a", LAST * 3], ["\U0010fffe", "z"]),
        (LAST * 2, [LAST * 2, LAST * 3], [LAST, LAST + "z"]),
        ("a" + LAST, ["a" + LAST, "a" + LAST * 2], ["a", "az", "b"]),
        (BEFORE_SURROGATES, [BEFORE_SURROGATES, BEFORE_SURROGATES + LAST], ["\ud7fe", "\ue000"]),
        ("a" + BEFORE_SURROGATES, ["a" + BEFORE_SURROGATES + "x"], ["a\ue000", "b"]),
        ("\uffff", ["\uffff", "\uffff" + LAST], ["\U00010000"]),
        ("\0", ["\0", "\0\0"], ["", "\1"]),
    ],
)
def test_a_prefix_of_the_highest_characters_has_its_bounds(
    kv: SyncKvStorage, prefix: str, inside: list[str], outside: list[str]
) -> None:
    for key in inside + outside:
        kv.put(key, 1)

    assert keys(kv, prefix=prefix) == sorted(inside)


KEYS = st.text(st.sampled_from(["\0", "a", "b", BEFORE_SURROGATES, "\ue000", LAST]), max_size=3)
BOUND = st.none() | KEYS


@bounded
@given(
    stored=st.sets(KEYS, max_size=8),
    start=BOUND,
    after=BOUND,
    end=BOUND,
    prefix=BOUND,
    reverse=st.booleans(),
    limit=st.none() | st.integers(1, 5),
)
def test_any_options_choose_the_keys_that_a_simple_model_chooses(
    stored: set[str],
    start: str | None,
    after: str | None,
    end: str | None,
    prefix: str | None,
    reverse: bool,
    limit: int | None,
) -> None:
    if start is not None:
        after = None
    chosen = sorted(
        (
            key
            for key in stored
            if (start is None or key >= start)
            and (after is None or key > after)
            and (end is None or key < end)
            and key.startswith(prefix or "")
        ),
        reverse=reverse,
    )
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "object.sqlite", Ledger())
        kv = SyncKvStorage(database, lambda: None)
        for key in stored:
            kv.put(key, [key])

        found = list(
            kv.list(
                start=start, start_after=after, end=end, prefix=prefix, reverse=reverse, limit=limit
            )
        )

        assert found == [(key, [key]) for key in chosen][:limit]
        database.close(checkpoint=False)


@pytest.mark.parametrize("limit", [0, -1, True])
def test_a_limit_has_to_be_positive(kv: SyncKvStorage, limit: int) -> None:
    with pytest.raises(TypeError, match=r"^List limit must be positive\.$"):
        kv.list(limit=limit)


def test_a_limit_has_to_be_a_whole_number(kv: SyncKvStorage) -> None:
    kv.put("key", 1)

    with pytest.raises(TypeError):
        kv.list(limit=1.5)  # type: ignore[arg-type]  # that is the point


def test_a_list_starts_at_a_key_or_after_one(kv: SyncKvStorage) -> None:
    with pytest.raises(TypeError, match=r"both start and start_after"):
        kv.list(start="a", start_after="b")


def test_a_list_is_as_it_was_when_it_was_asked_for(menu: SyncKvStorage) -> None:
    listing = menu.list()
    assert next(listing) == ("bar", "BAR")

    menu.put("bat", 1)
    menu.delete("foo")

    assert [key for key, _ in listing] == ["baz", "foo", "qux"]


def test_a_newer_list_ends_the_older_one(menu: SyncKvStorage) -> None:
    older = menu.list()
    next(older)

    newer = menu.list()

    with pytest.raises(StorageError, match=r"^kv\.list\(\) iterator was invalidated because a new"):
        next(older)
    assert len(list(newer)) == 4


def test_a_list_that_was_refused_ends_no_other(menu: SyncKvStorage) -> None:
    listing = menu.list()
    with pytest.raises(TypeError):
        menu.list(limit=0)

    assert len(list(listing)) == 4


def test_a_list_that_never_began_to_be_read_counts_as_newer_too(menu: SyncKvStorage) -> None:
    older = menu.list()

    menu.list(limit=1)

    with pytest.raises(StorageError):
        next(older)
