"""Checking a value against an annotation: pydantic does it, and here is what it can't know.

Some annotations are put in other words for it:

- What only iterates (``Iterable``, ``Collection`` and their like) would arrive as an iterator that
  is checked while it is read, and can be read once. It arrives as the list, tuple, set or dict
  that was sent.
- A class that has no schema, such as that of a stub, is no reason to leave the rest unchecked:
  what arrives is an instance of it, or something that has crossed by reference.
- Before Python 3.12 pydantic knows no ``typing.TypedDict``, only that of ``typing_extensions``.

What nothing can be said about, a ``Protocol`` or a type variable, takes any value.
"""

from __future__ import annotations

import collections.abc as abc
from collections.abc import Callable
from functools import partial
from operator import is_
from types import GenericAlias, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

from pydantic import PlainValidator, PydanticUserError, TypeAdapter, WrapValidator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema, any_schema, no_info_after_validator_function
from typing_extensions import (
    ReadOnly,
    TypeAliasType,
    TypedDict,
    get_type_hints,
    is_protocol,
    is_typeddict,
)

from runtime.wire import is_reference

Check: TypeAlias = Callable[[Any], Any]
"""Checks a value and returns it, or raises pydantic's ``ValidationError``."""

_EXACT: Final = (str, int, float, bool, bytes, type(None))
_SETS: Final = (set, frozenset)
_ANY_OF_THEM: Final = (list, tuple, *_SETS, dict)
_ITERABLES: Final[dict[Any, tuple[type, ...]]] = {
    abc.Iterable: _ANY_OF_THEM,
    abc.Collection: _ANY_OF_THEM,
    abc.Container: _ANY_OF_THEM,
    abc.Reversible: (list, tuple, dict),
    abc.Set: _SETS,
}
"""What each of them is when it arrives."""
_HOLDERS: Final = ("builtins", "collections", "collections.abc")
_MARKS: Final[tuple[Any, ...]] = (Required, NotRequired, ReadOnly)
_SETTINGS: Final = ("__doc__", "__pydantic_config__", "__closed__", "__extra_items__")


def check_of(annotation: Any) -> Check | None:
    """Return what checks values against an annotation, strictly; None if anything fits it.

    Raises:
        NameError: If it can't be resolved, for instance because a name in it is imported for
            type checkers only.
    """
    if annotation is Any or annotation is object:
        return None
    adapter = _adapter(_Wording().of(annotation)) or _adapter(_Wording(_is_known).of(annotation))
    if adapter is None:
        return None
    validate = partial(adapter.validate_python, strict=True)
    if any(annotation is kind for kind in _EXACT):
        return lambda value: value if type(value) is annotation else validate(value)
    return validate


def reference_schema(cls: type) -> CoreSchema:
    """Return what tells pydantic of a class whose instances cross by reference."""
    return no_info_after_validator_function(partial(_instance, cls), any_schema())


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        adapter.rebuild(raise_errors=True)  # now, rather than at the first call
    except PydanticUserError:
        return None
    return adapter


def _is_known(annotation: Any) -> bool:
    return _adapter(annotation) is not None


class _Wording:
    """Puts one annotation in other words, where that is needed.

    Args:
        is_known: Whether pydantic can check what it gets. To ask it takes a while.
    """

    def __init__(self, is_known: Callable[[Any], bool] = lambda _: True) -> None:
        self._is_known = is_known
        self._begun: dict[Any, Any] = {}  # of what may contain itself, the new words

    def of(self, annotation: Any) -> Any:
        kind: Any = get_origin(annotation) or annotation
        args = get_args(annotation)
        if kind is ... or type(kind).__hash__ is None:
            return annotation
        if kind in _ITERABLES:
            items = GenericAlias(list, (self.of(args[0]) if args else Any,))
            return Annotated[items, WrapValidator(partial(_each, _ITERABLES[kind]))]
        if kind is abc.Generator:  # pydantic takes it for an Iterable
            return _by_class(kind)
        if isinstance(annotation, TypeAliasType) or is_typeddict(annotation):
            return self._begun[annotation] if annotation in self._begun else self._named(annotation)
        if kind is Annotated:
            new = self._each_of(args[:1], annotation, lambda new: Annotated[(*new, *args[1:])])
        elif kind is Union or kind is UnionType:
            new = self._each_of(args, annotation, lambda new: Union[new])  # noqa: UP007
        elif args and getattr(kind, "__module__", "") in _HOLDERS and kind is not abc.Callable:
            new = self._each_of(args, annotation, lambda new: kind[new])
        else:
            new = annotation
        return new if self._is_known(new) else _by_class(kind)

    def _each_of(
        self, parts: tuple[Any, ...], whole: Any, make: Callable[[tuple[Any, ...]], Any]
    ) -> Any:
        new = tuple(map(self.of, parts))
        return whole if all(map(is_, new, parts)) else make(new)

    def _named(self, annotation: Any) -> Any:
        if isinstance(annotation, TypeAliasType):
            self._begun[annotation] = annotation
            new = self.of(annotation.__value__)
            same = new is annotation.__value__
        else:
            new, same = self._typed_dict(annotation)
        self._begun[annotation] = annotation if same else new
        return self._begun[annotation]

    def _typed_dict(self, kind: Any) -> tuple[Any, bool]:
        """Return one with other words in its fields, and whether there was no need to."""
        twin: Any = TypedDict(kind.__name__, {})  # type: ignore[misc]  # its name is known later
        self._begun[kind] = twin
        same, fields = self._is_known(kind), {}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            mark: Any = Required if name in kind.__required_keys__ else NotRequired
            origin: Any = get_origin(hint)
            while origin in _MARKS:
                mark = mark if origin is ReadOnly else origin  # the keys know no mark in quotes
                (hint,) = get_args(hint)
                origin = get_origin(hint)
            new = self.of(hint)
            same = same and new is hint
            fields[name] = mark[new]
        twin.__annotations__ = fields
        for name in vars(kind).keys() & _SETTINGS:
            setattr(twin, name, getattr(kind, name))
        return twin, same


def _by_class(kind: Any) -> Any:
    if not isinstance(kind, type) or is_protocol(kind):
        return Any
    return Annotated[Any, PlainValidator(partial(_instance, kind))]


def _instance(kind: type, value: Any) -> Any:
    is_a_value = hasattr(kind, "crosses_by_copy") or hasattr(kind, "crosses_by_reference")
    if isinstance(value, kind) or (is_reference(value) and not is_a_value):
        return value
    raise PydanticCustomError(
        "instance", "input should be an instance of {kind}", {"kind": kind.__name__}
    )


def _each(kinds: tuple[type, ...], value: Any, check: Callable[[Any], list[Any]]) -> Any:
    kind = type(value)
    if kind not in kinds:
        *most, last = (f"a {each.__name__}" for each in kinds)
        expected = f"{', '.join(most)} or {last}"
        raise PydanticCustomError("iterable", "input should be {kinds}", {"kinds": expected})
    items = check(list(value))
    if kind is dict:
        return dict(zip(items, value.values(), strict=True))
    return items if kind is list else kind(items)
