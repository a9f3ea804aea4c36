"""Which methods of a class may be called through a stub, and with what.

A class is read once, when it is bound. Calls then cost a table look-up, a copy of each argument,
and a check against its annotation; for ``str``, ``int`` and their like that is one comparison.
Values are checked as strictly as pydantic can: ``"5"`` is no ``int``. Only an ``int`` passes for
a ``float``, and a dict with the right fields becomes the model that is asked for (no dataclass).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Final, TypeAlias, get_type_hints

from pydantic import ValidationError

from runtime.annotations import Check, check_of
from runtime.wire import Copier, Crossing, Refer

Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

RESERVED: Final = frozenset(
    "fetch alarm web_socket_message web_socket_close web_socket_error connect dup".split()
)
_PRIVATE_MARK: Final = "_rpc_private"
_KNOWN_MARK: Final = "_rpc_methods"
# The base class's own: its handlers are reserved, and its fields are nobody's business.
_FIELDS: Final = frozenset({"ctx", "env", "migrations"})
_OWN_TO_STUBS: Final = frozenset({"id", "name"})


def rpc_private(method: Callable[..., Any]) -> Callable[..., Any]:
    """Hide a public method from stubs; the object's own code may still call it."""
    setattr(method, _PRIVATE_MARK, True)
    return method


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method."""

    what: str
    """What messages call it: ``ChatRoom.post() argument 'text'``."""
    check: Check | None
    """Checks a value and returns it, or raises. None allows anything."""

    def accept(self, value: Any, copier: Copier) -> Any:
        return _checked(copier.copy(value, self.what), self.check, self.what)


@dataclass(frozen=True, slots=True)
class Method:
    """One method that may be called through a stub."""

    name: str
    """With its class, as messages name it: ``ChatRoom.post``."""
    signature: inspect.Signature
    """Without ``self``."""
    parameters: dict[str, Parameter]
    simple: tuple[Parameter, ...] | None
    """The same if all are positional and required: then nothing needs binding."""
    result: Parameter
    is_async: bool

    def accept(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        refer: Refer,
        crossing: Crossing | None = None,
    ) -> Arguments:
        """Return the arguments as the object gets them: bound, copied and checked.

        Args:
            crossing: As for `copied`; so for `answer`.

        Raises:
            TypeError: If one is missing, unknown, of the wrong type or not to be sent.
            ValueError: If they are larger than 32 MiB together.
        """
        copier = Copier(refer, crossing)
        if not kwargs and self.simple is not None and len(args) == len(self.simple):
            pairs = zip(self.simple, args, strict=True)
            return tuple([each.accept(value, copier) for each, value in pairs]), kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        for name, value in bound.arguments.items():
            bound.arguments[name] = self.parameters[name].accept(value, copier)
        return bound.args, bound.kwargs

    def answer(self, result: Any, refer: Refer, crossing: Crossing | None = None) -> Any:
        """Return the result as the caller gets it.

        Raises:
            TypeError: If the method returned something else than it is declared to.
        """
        return self.result.accept(result, Copier(refer, crossing))


@dataclass(frozen=True, slots=True)
class Plain:
    """A function that is called by reference: it takes and returns anything that may cross."""

    name: str

    def accept(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        refer: Refer,
        crossing: Crossing,
    ) -> Arguments:
        """As `Method.accept` does."""
        copier, what = Copier(refer, crossing), f"an argument of {self.name}()"
        return copier.copy(args, what), copier.copy(kwargs, what)

    def answer(self, result: Any, refer: Refer, crossing: Crossing) -> Any:
        """As `Method.answer` does."""
        return Copier(refer, crossing).copy(result, f"the result of {self.name}()")


def methods_of(
    cls: type,
    *,
    reserved: frozenset[str] = RESERVED | _FIELDS,
    taken: frozenset[str] = _OWN_TO_STUBS,
) -> dict[str, Method]:
    """Return what a stub of `cls` may call, by name.

    Args:
        reserved: Names that can't be called, whatever they are.
        taken: Names that what stands for an instance has itself. A method mustn't have them.

    Raises:
        TypeError: If an annotation can't be resolved, for instance because its name is
            imported for type checkers only, or a method has a name that is taken.
    """
    methods = {
        name: _method(cls, name, function)
        for name, function in inspect.getmembers(cls, inspect.isfunction)
        if not (name.startswith("_") or name in reserved)
        and not hasattr(function, _PRIVATE_MARK)
        and not isinstance(inspect.getattr_static(cls, name), staticmethod)
    }
    for name in methods.keys() & taken:
        raise TypeError(
            f"{cls.__name__}.{name}() can't be called: a stub has a {name!r} of its own; give the "
            "method another name, or mark it @rpc_private"
        )
    return methods


def no_such_method(name: str, reserved: frozenset[str] = RESERVED) -> TypeError:
    """Return what a caller gets who asks for what isn't there."""
    if name in reserved:
        return TypeError(f"'{name}' is a reserved method and cannot be called over RPC.")
    return TypeError(f'The RPC receiver does not implement the method "{name}".')


def _method(cls: type, name: str, function: Callable[..., Any]) -> Method:
    # Kept with the function itself, since to find out takes milliseconds and tests start a runtime
    # each: so it goes when the function does. What wraps a function has a copy of its attributes.
    full_name = f"{cls.__name__}.{name}"
    known: dict[str, tuple[object, Method]] = function.__dict__.get(_KNOWN_MARK, {})
    of, method = known.get(full_name, (None, None))
    if method is None or of is not function:
        method = _made(full_name, function)
        setattr(function, _KNOWN_MARK, {**known, full_name: (function, method)})
    return method


def _made(full_name: str, function: Callable[..., Any]) -> Method:
    signature = inspect.signature(function)
    own = list(signature.parameters.values())[1:]
    try:
        hints = get_type_hints(function, include_extras=True)
        checks = {parameter.name: check_of(_type_of(parameter, hints)) for parameter in own}
        result_check = check_of(hints.get("return", Any))
    except (NameError, AttributeError) as error:
        raise TypeError(
            f"{full_name}(): an annotation can't be resolved ({error}); "
            "import the name for real, not under TYPE_CHECKING"
        ) from error
    parameters = {
        name: Parameter(f"{full_name}() argument {name!r}", check) for name, check in checks.items()
    }
    is_simple = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in own)
    return Method(
        name=full_name,
        signature=signature.replace(parameters=own),
        parameters=parameters,
        simple=tuple(parameters.values()) if is_simple else None,
        result=Parameter(f"the result of {full_name}()", result_check),
        is_async=inspect.iscoroutinefunction(function),
    )


def _type_of(parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    hint = hints.get(parameter.name, Any)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return GenericAlias(tuple, (hint, ...))
    if parameter.kind is parameter.VAR_KEYWORD:
        return GenericAlias(dict, (str, hint))
    return hint


def _checked(value: Any, check: Check | None, what: str) -> Any:
    try:
        return value if check is None else check(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"[{step!r}]" for step in first["loc"])
        given = repr(first["input"])
        given = given if len(given) <= 80 else f"{given[:77]}..."
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise TypeError(f"{what}{where}: {reason}, not {given}") from None
