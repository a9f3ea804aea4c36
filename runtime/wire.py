"""What may cross from one object to another, and how it is copied on the way (I9).

The receiver gets a value that shares nothing changeable with the sender's. What is kept is
written as bytes by `packing`, which goes by the same rule.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from operator import is_
from traceback import TracebackException, format_exception, format_tb
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel

from runtime.errors import RemoteError, RemoteTraceback, crosses_as_itself

MAX_BYTES: Final = 32 * 1024 * 1024  # of all arguments of a call, or of a result; text in UTF-8
MAX_DEPTH: Final = 100  # of values within values; also what catches one that contains itself

RPC_TARGET_MARK: Final = "_rpc_target"
"""The attribute by which `RpcTarget` is known here."""

# What has contents beside its fields, if it is a dataclass.
_HOLDERS: Final = (list, tuple, dict, set, frozenset, str, bytes, bytearray)
# Neither copied nor looked into.
_ATOMS: Final = frozenset({type(None), bool, int, float, UUID, Decimal, datetime})
_HALVES: Final = "surrogatepass"  # a text may have half a character in it

Refer = Callable[[Any], Any]
"""Makes a reference to a function or an `RpcTarget`, or a lease; None for anything else."""


class Lease(Protocol):
    """The right to use something that has crossed by reference: see `references`."""

    def handle(self) -> Any:
        """Return what its holder uses."""

    def lend_to(self, holder: Any) -> None:
        """Be for an object until it has answered."""

    def give_to(self, holder: Any) -> None:
        """Be for an object, and end with its life at the latest; None for who is no object."""

    def returned(self) -> None:
        """End: the call that it was lent for has been answered."""

    def drop(self) -> None:
        """End: so has the life that it was given to."""


class Crossing(Protocol):
    """A call or an answer, as far as things cross by reference with it."""

    def take(self, lease: Lease) -> None:
        """Hear of something that does."""


def copied(
    value: Any, what: str, refer: Refer | None = None, crossing: Crossing | None = None
) -> Any:
    """Return `value` as its receiver gets it. What can't change may be the very same object.

    Args:
        what: What the value is, for the error message: ``argument 'text'``.
        refer: Makes the references to what crosses by reference.
        crossing: Takes what `refer` makes, of which the receiver gets the handles.

    Raises:
        TypeError: If it is, or contains, something that may not cross.
        ValueError: If it is larger than 32 MiB or nested too deeply.
    """
    return Copier(refer, crossing).copy(value, what)


def size_of(value: Any) -> int:
    """Return the size in bytes, as `copied` counts it, of a value that has crossed."""
    copier = Copier(lambda reference: reference)
    try:
        copier.copy(value, "a value")
    except ValueError:  # a method's own annotations have made it larger than what was sent
        return MAX_BYTES
    return copier.bytes


class Copier:
    """Copies what crosses together: the arguments of a call, or a result.

    Args:
        refer: As for `copied`; so is `crossing`.

    Attributes:
        bytes: The size of all that it has copied.
    """

    __slots__ = ("_crossing", "_refer", "_what", "bytes")

    def __init__(self, refer: Refer | None = None, crossing: Crossing | None = None) -> None:
        self._refer = refer
        self._crossing = crossing
        self._what = ""
        self.bytes = 0

    def copy(self, value: Any, what: str) -> Any:
        """Copy one more, as `copied` does. All of them together have its limit."""
        self._what = what
        twin = self._copy(value, 0)
        self._check_size()
        return twin

    def _copy(self, value: Any, depth: int) -> Any:
        kind: type = type(value)
        if kind is str:
            self.bytes += len(value) if value.isascii() else len(value.encode(errors=_HALVES))
            return value
        if kind is bytes:
            self.bytes += len(value)
            return value
        self.bytes += 8
        if kind in _ATOMS:
            return value
        if depth > MAX_DEPTH:
            raise ValueError(f"{self._what} is nested more than {MAX_DEPTH} deep")
        self._check_size()  # on the way: a list that holds another one many times has no end
        copy_of, deeper = self._copy, depth + 1
        if kind is list:
            return [copy_of(item, deeper) for item in value]
        if kind is dict:
            return {copy_of(k, deeper): copy_of(v, deeper) for k, v in value.items()}
        if kind in (tuple, set, frozenset):
            items = [copy_of(item, deeper) for item in value]
            if kind is not set and all(map(is_, items, value)):
                return value  # neither can it change, nor what is in it
            return kind(items)
        match _shape(kind):
            case "model":
                return self._model(value, deeper)
            case "dataclass":
                return self._dataclass(value, deeper)
            case "whole":
                return value
            case "copy":
                return copy.copy(value)
        reference = self._refer(value) if self._refer else None
        if reference is None:
            raise TypeError(f"{self._what} can't be sent to another object: {unsendable(kind)}")
        if self._crossing is None:
            return reference
        self._crossing.take(reference)
        return reference.handle()

    def _check_size(self) -> None:
        if self.bytes > MAX_BYTES:
            raise ValueError(
                "Serialized RPC arguments or return values are limited to 32MiB, but the size of "
                f"this value was: {self.bytes} bytes."
            )

    def _model(self, value: BaseModel, depth: int) -> BaseModel:
        changed = self._changed(value.__dict__, depth)
        extra = self._changed(value.__pydantic_extra__ or {}, depth)
        private = self._changed(value.__pydantic_private__ or {}, depth)
        if not (changed or extra or private) and value.model_config.get("frozen"):
            return value
        twin = value.model_copy()
        twin.__dict__.update(changed)
        (twin.__pydantic_extra__ or {}).update(extra)
        (twin.__pydantic_private__ or {}).update(private)
        return twin

    def _dataclass(self, value: Any, depth: int) -> Any:
        kind: type = type(value)
        fields = {name: getattr(value, name) for name in _fields(kind)}
        if hasattr(value, "__dict__"):  # some of that may be no fields
            fields |= value.__dict__
        changed = self._changed(fields, depth)
        if not changed and value.__dataclass_params__.frozen:
            return value
        twin = copy.copy(value)
        for name, item in changed.items():
            object.__setattr__(twin, name, item)  # a frozen one refuses the ordinary way
        return twin

    def _changed(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        changed = {}
        for name, item in fields.items():
            kind = type(item)
            if kind is str and item.isascii():  # as `_copy` does, of which most have no need
                self.bytes += len(item)
            elif kind in _ATOMS:
                self.bytes += 8
            elif (twin := self._copy(item, depth)) is not item:
                changed[name] = twin
        return changed


def copied_error(
    error: BaseException, object_id: str | None, *, remote: bool = True, traceback: bool = False
) -> Exception:
    """Return `error` as the caller of the object gets it.

    Args:
        object_id: The object's; None for code outside of all objects.
        remote: Whether the object's code has raised it, and not the runtime.
        traceback: Send the traceback along, as its ``__cause__``. For development.
    """
    twin = _twin(error)
    twin.__dict__.setdefault("remote", remote)
    for flag in ("retryable", "overloaded", "durable_object_reset"):
        # Not asked of the error itself, whose own code might raise.
        if flag not in twin.__dict__ and not hasattr(type(twin), flag):
            twin.__dict__[flag] = False
    if twin.__dict__.get("durable_object_id") is None:
        twin.__dict__["durable_object_id"] = object_id
    if traceback and remote and error.__traceback__ is not None:
        twin.__cause__ = RemoteTraceback(_traceback_of(error))
    return twin


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(format_exception(error))
    except Exception:  # the error's own code, again
        return "".join(format_tb(error.__traceback__))


def _twin(error: BaseException) -> Exception:
    kind = type(error)
    twin: Exception | None = None
    if isinstance(error, Exception) and crosses_as_itself(kind):
        try:
            twin = _made_again(error)
            _take_attributes(error, twin)
        except Exception:  # the error's own code runs here, and whoever waits must hear of it
            twin = None
    return RemoteError(kind.__name__, _said(error)) if twin is None else twin


def _said(error: BaseException) -> str:
    try:
        return str(TracebackException(type(error), error, None))
    except Exception:  # the error's own code, again
        return "it can't say why"


def _take_attributes(error: Exception, twin: Exception) -> None:
    slots = [name for base in type(error).__mro__ for name in getattr(base, "__slots__", ())]
    for name in [*vars(error), *slots]:
        with suppress(TypeError, ValueError, AttributeError):  # what can't cross stays behind
            setattr(twin, name, copied(getattr(error, name), name))


def _made_again(error: Exception) -> Exception:
    kind = type(error)
    twin: Exception
    if isinstance(error, ExceptionGroup):
        twin = error.derive([_twin(inner) for inner in error.exceptions])
    elif kind.__module__ == "builtins":  # an OSError's args aren't all there is
        twin = kind(*map(_sendable, error.__reduce__()[1]))
    else:  # its __init__ may want something else than args
        args = tuple(map(_sendable, error.args))
        twin = kind.__new__(kind, *args)
        twin.args = args
    return twin


def _sendable(argument: Any) -> Any:
    """Return an error's argument as its receiver gets it: as text, if it can't be sent."""
    try:
        return copied(argument, "an error")
    except TypeError:
        return copied(str(argument), "an error")


@lru_cache(maxsize=1024)
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@lru_cache(maxsize=1024)
def _shape(kind: type) -> Literal["model", "dataclass", "whole", "copy"] | None:
    if hasattr(kind, RPC_TARGET_MARK):  # a dataclass too
        return None
    if issubclass(kind, BaseModel):
        return "model"
    if issubclass(kind, Enum) or getattr(kind, "crosses_by_reference", False):
        return "whole"
    if getattr(kind, "crosses_by_copy", False):
        return "copy"
    has_fields_only = dataclasses.is_dataclass(kind) and not issubclass(kind, _HOLDERS)
    return "dataclass" if has_fields_only else None


def forget_classes() -> None:
    """Let go of the classes whose values have crossed: they may have been replaced."""
    _fields.cache_clear()
    _shape.cache_clear()


def is_reference(value: Any) -> bool:
    """Whether something that has crossed did so by reference: a stub, for instance."""
    kind: type = type(value)
    if kind in _ATOMS or kind in _HOLDERS:
        return False
    return _shape(kind) is None or getattr(kind, "crosses_by_reference", False)


def unsendable(kind: type) -> str:
    """Say what is wrong with a value of a class that may not cross."""
    hint = "; take its fields instead" if _shape(kind) in ("model", "dataclass") else ""
    return f"an instance of {kind.__module__}.{kind.__qualname__} is no plain value{hint}"
