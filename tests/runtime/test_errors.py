"""The tree of errors, their flags, and which of them cross a stub as themselves."""

from __future__ import annotations

import asyncio
import inspect
import re

import pytest

from runtime import errors
from runtime.errors import (
    BackupFailed,
    CodeRefused,
    DataFolderRefused,
    DurableObjectError,
    MigrationRefused,
    ObjectReset,
    OutsideObject,
    Overloaded,
    RemoteError,
    RoutingError,
    ShuttingDown,
    SqlError,
    StorageError,
    crosses_as_itself,
    register,
)


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (DurableObjectError, set()),
        (RoutingError, {"retryable"}),
        (Overloaded, {"overloaded"}),
        (ShuttingDown, {"retryable"}),
        (ObjectReset, {"durable_object_reset"}),
        (StorageError, set()),
        (SqlError, set()),
        (OutsideObject, set()),
        (DataFolderRefused, set()),
        (MigrationRefused, set()),
        (BackupFailed, set()),
        (CodeRefused, set()),
    ],
)
def test_each_error_says_what_its_reader_may_do(
    kind: type[DurableObjectError], flags: set[str]
) -> None:
    error = kind("why")

    raised = {
        name
        for name in ("retryable", "overloaded", "remote", "durable_object_reset")
        if getattr(error, name)
    }

    assert raised == flags
    assert error.durable_object_id is None


def test_the_tree_in_the_module_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert len(drawn) > 8, "the picture wasn't recognised"

    path = ["DurableObjectError"]
    tree = {}
    for indent, name in drawn:
        del path[len(indent) // 4 + 1 :]
        tree[name] = path[-1]
        path.append(name)

    assert tree == {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, DurableObjectError) and kind is not DurableObjectError
    }


def test_an_error_keeps_the_object_that_it_is_about() -> None:
    error = ObjectReset("gone", durable_object_id="ab" * 32)

    assert str(error) == "gone"
    assert error.durable_object_id == "ab" * 32


def test_an_overloaded_object_says_when_to_come_back() -> None:
    assert Overloaded("too much").retry_after == 1


def test_a_remote_error_names_the_private_type() -> None:
    error = RemoteError("SoldOut", "seat A1 is taken")

    assert (error.type_name, error.message) == ("SoldOut", "seat A1 is taken")
    assert str(error) == "SoldOut: seat A1 is taken"
    assert error.remote


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SqlError("no such table: t", code="SQLITE_ERROR"), "no such table: t: SQLITE_ERROR"),
        (SqlError("got no results"), "got no results"),
    ],
)
def test_an_sql_error_ends_with_the_code_of_sqlite_if_it_has_one(
    error: SqlError, says: str
) -> None:
    assert str(error) == says


def test_use_outside_of_an_object_is_a_runtime_error_too() -> None:
    assert issubclass(OutsideObject, RuntimeError)


def test_register_gives_the_class_back() -> None:
    class SoldOut(Exception):
        pass

    assert register(SoldOut) is SoldOut


@pytest.mark.parametrize(
    "kind", [ValueError, KeyError, FileNotFoundError, TimeoutError, ExceptionGroup, SqlError]
)
def test_builtin_errors_and_our_own_cross_as_themselves(kind: type[Exception]) -> None:
    assert crosses_as_itself(kind)


def test_a_registered_error_crosses_as_itself() -> None:
    class Refused(Exception):
        pass

    assert not crosses_as_itself(Refused)
    register(Refused)

    assert crosses_as_itself(Refused)


def test_a_subclass_of_a_registered_error_is_private_until_it_is_registered_too() -> None:
    @register
    class Refused(Exception):
        pass

    class SoldOut(Refused):
        pass

    assert not crosses_as_itself(SoldOut)


def test_a_subclass_of_a_runtime_error_crosses_as_itself() -> None:
    class Late(StorageError):
        pass

    assert crosses_as_itself(Late)


def test_an_error_that_only_shares_the_name_of_a_builtin_is_private() -> None:
    class LookupError(Exception):
        pass

    assert not crosses_as_itself(LookupError)
    assert not crosses_as_itself(asyncio.QueueFull)
