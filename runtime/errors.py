"""Every error that the runtime raises on purpose, and what its reader may do about it.

::

    DurableObjectError
    ├── RoutingError        the call never reached the object: nothing happened
    │   ├── Overloaded      too much is waiting already; try later, not at once
    │   └── ShuttingDown    this node is stopping; another try reaches the next one
    ├── ObjectReset         the object lost its memory meanwhile: ask before you repeat the call
    ├── RemoteError         the object's own code raised something private to it
    ├── StorageError        a storage call that cannot be carried out; nothing was written
    │   └── SqlError        SQLite refused a statement; earlier writes stand
    ├── OutsideObject       storage, sockets or gates were used where no object is running
    ├── HandleEnded         a handle of a function or an RpcTarget was used after its end
    ├── DataFolderRefused   the runtime can't start here
    ├── SettingsRefused     a setting can't be meant so
    ├── MigrationRefused    the configured class migrations don't fit what is on disk
    ├── CodeRefused         changed code can't be taken over; the old goes on
    ├── BackupFailed        a backup wasn't made, or not restored
    └── ProjectRefused      a project can't be made or changed like that

What an object's method raises crosses a stub unchanged where its type is a builtin or was
given to `register`; the flags below are then set on it as plain attributes.
"""

from __future__ import annotations

import builtins
from typing import TypeVar

E = TypeVar("E", bound=type[Exception])

_OF_THE_DISK = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")  # and what these begin

_registered: dict[type[Exception], None] = {}


class DurableObjectError(Exception):
    """Base class of all runtime errors; the flags mean what they mean in the original.

    Attributes:
        retryable: The same call may be made again without asking: it had no effect.
        overloaded: Too much work is waiting. Trying again at once makes it worse.
        remote: Raised by the object's code, not by the runtime on the caller's side.
        durable_object_reset: The object was dropped with its memory. Its storage stands at
            the last commit, and the next call reaches a new instance.
        durable_object_id: The object concerned, as 64 hex digits, where there is one.
    """

    retryable: bool = False
    overloaded: bool = False
    remote: bool = False
    durable_object_reset: bool = False
    durable_object_id: str | None = None

    def __init__(self, message: str = "", *, durable_object_id: str | None = None) -> None:
        super().__init__(message)
        self.durable_object_id = durable_object_id


class RoutingError(DurableObjectError):
    """The call never reached the object, so nothing happened."""

    retryable = True


class Overloaded(RoutingError):
    """The object, or the disk behind it, has more waiting than it may keep.

    Attributes:
        retry_after: Seconds after which another try is worth it.
    """

    retryable = False
    overloaded = True
    retry_after: int = 1


class ShuttingDown(RoutingError):
    """The node is stopping and takes no new work."""


class ObjectReset(DurableObjectError):
    """The object was dropped while this call was under way; it may or may not have acted."""

    durable_object_reset = True


class RemoteError(DurableObjectError):
    """The object's code raised an error whose type is private to it.

    Attributes:
        type_name: The name of the original type.
        message: What the original error said.
    """

    remote = True

    def __init__(
        self, type_name: str, message: str, *, durable_object_id: str | None = None
    ) -> None:
        super().__init__(f"{type_name}: {message}", durable_object_id=durable_object_id)
        self.type_name = type_name
        self.message = message


class StorageError(DurableObjectError):
    """A storage call that cannot be carried out. Nothing was written by it."""


class SqlError(StorageError):
    """SQLite, or the rules around it, refused a statement. Earlier writes stand.

    It is retryable where the disk is the reason.

    Attributes:
        code: SQLite's name of the reason, such as ``SQLITE_CONSTRAINT``, where it gave one.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(f"{message}: {code}" if code else message)
        self.code = code
        self.retryable = (code or "").startswith(_OF_THE_DISK)


class OutsideObject(DurableObjectError, RuntimeError):
    """An object's storage, sockets or gates were used while none of its code was running.

    They, and the handles that it has been given, belong to the object's handlers and to the tasks
    these start. A thread, a ``loop.call_later`` callback or a reference kept by other code has to
    call the object through a stub instead.
    """


class HandleEnded(DurableObjectError):
    """A handle of a function or an `RpcTarget` was used after its end. Nothing was called.

    It was disposed of, or it came with a call that has been answered: keep a ``dup()`` then.
    """


class DataFolderRefused(DurableObjectError):
    """The data folder can't be used. Nothing in it was touched."""


class SettingsRefused(DurableObjectError):
    """A setting has a value that it can't have, or isn't known. Nothing was begun."""


class MigrationRefused(DurableObjectError):
    """The configured class migrations contradict each other, or what is there. Nothing changed."""


class CodeRefused(DurableObjectError):
    """Changed code can't be taken over while it runs. The old code goes on."""


class BackupFailed(DurableObjectError):
    """A backup wasn't made, or not restored. What it was to become isn't there."""


class ProjectRefused(DurableObjectError):
    """A project can't be made or changed like that. Nothing was written."""


class RemoteTraceback(Exception):
    """The traceback of an error on the object's side, as text. Only ever a ``__cause__``."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def register(error: E) -> E:
    """Let `error` cross stubs as itself. Usable as a class decorator.

    Its instances are rebuilt on the caller's side from ``args`` and attributes, without
    calling ``__init__``, so both must be values that may cross the wire.
    """
    _registered[error] = None
    return error


def crosses_as_itself(error: type[BaseException]) -> bool:
    """Whether an error of this type reaches a caller as itself, not as `RemoteError`."""
    return (
        error in _registered
        or issubclass(error, DurableObjectError)
        or getattr(builtins, error.__name__, None) is error
    )
