"""Turning a name into something that can be called: namespaces and stubs.

A stub knows which object it means and how to reach it: through a `Router`, which in one process
is the host. It doesn't start anything; the first call does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from copy import copy
from functools import partial, wraps
from typing import Any, Final, Generic, NamedTuple, NoReturn, Protocol, TypeVar, cast

from runtime.errors import DurableObjectError
from runtime.fetch import Request
from runtime.ids import IdScheme, ObjectId
from runtime.methods import RESERVED, Method, methods_of, no_such_method
from runtime.tasks import Owner, current
from runtime.wire import Lease

ObjT = TypeVar("ObjT")

FETCH: Final = "fetch"


class Reply(asyncio.Future[Any]):
    """The answer to a call that is already under way.

    Awaiting it more than once, or not at all, doesn't change what the object does. It can be
    used wherever a coroutine is wanted, in ``asyncio.create_task`` for instance.

    Attributes:
        asked: Who is to answer, in words, or a stub and a method; set where an object may wait.
    """

    asked: str | tuple[Stub, str] | None = None
    lent: tuple[Lease, ...] = ()

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless whoever waited has gone."""
        if not self.done():
            self.set_exception(error)

    def answer(self, result: Any) -> None:
        """Answer, unless whoever waited has gone."""
        if not self.done():
            self.set_result(result)

    def take(self, lease: Lease) -> None:
        """Hear of what is lent with the call."""
        self.__class__ = LendingReply  # most calls lend nothing, and aren't to pay for this
        self.lent = (*self.lent, lease)

    # What makes it a coroutine in asyncio's eyes.

    def send(self, value: Any) -> Any:
        return self._steps().send(value)

    def throw(self, *error: Any) -> Any:
        return self._steps().throw(*error)

    def close(self) -> None:
        """Stop waiting. The object's work goes on."""

    def _steps(self) -> Any:
        if not hasattr(self, "_iterator"):
            self._iterator = self.__await__()
        return self._iterator


class LendingReply(Reply):
    """The answer to a call with references among its arguments, which end when it has left."""

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        self.answer(None)

    def answer(self, result: Any) -> None:
        super().answer(result)  # unless it has failed
        for lease in self.lent:
            lease.returned()


class Call(NamedTuple):
    """What a stub asks of an object. Its arguments have been copied and checked."""

    target: ObjectId
    directory: str
    """Where objects of the target's class are kept; with the id it says everything."""
    name: str
    """The method's name, or ``fetch``."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reply: Reply
    caller: Owner | None = None  # the object that has called, if one has

    @property
    def is_from_object(self) -> bool:
        return self.caller is not None

    def take(self, lease: Lease) -> None:
        """Hear of what crosses with the answer."""
        lease.give_to(self.caller)


class Router(Protocol):
    """Brings calls to objects, wherever they are."""

    def route(self, call: Call) -> None:
        """Deliver a call; its reply says how it went. Calls of one sender keep their order."""

    def refer(self, value: Any) -> Lease | None:
        """Return a lease of a function or an `RpcTarget`; None for anything else."""

    def list_ids(
        self, scheme: IdScheme, *, prefix: str | None, after: ObjectId | None, limit: int
    ) -> AsyncIterator[ObjectId]:
        """Yield the ids of the objects that have storage, in the order of their digits."""


class Stub:
    """Stands for one object. Every public method of its class can be called on it.

    Calls on one stub reach the object in the order in which they are made, each at once,
    without waiting for the answer to the one before. A stub never breaks: after a reset the
    next call reaches the object's next life.

    Attributes:
        id: Which object.
        name: What its id was made from, if that is known.
    """

    crosses_by_reference = True

    def __init__(self, namespace: DurableObjectNamespace[Any], id: ObjectId) -> None:
        self.id = id
        self.name = id.name
        self._namespace = namespace

    def __getattr__(self, name: str) -> Callable[..., Reply]:
        if name.startswith("__"):  # Python asks for these by itself; no object has them
            raise AttributeError(name)
        return NoSuchMethod(name)

    def __repr__(self) -> str:
        return f"<stub of {self._namespace.cls.__name__} {self.name or self.id}>"

    def fetch(
        self,
        request: Request | str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
    ) -> Reply:
        """Have the object answer a request, or a URL with what else belongs to one.

        Raises:
            TypeError: When awaited, if the class has no `fetch`, or it returned no `Response`.
        """
        if not isinstance(request, Request):
            request = Request(request, method=method, headers=headers, body=body)
        return self._send(Reply(), FETCH, (copy(request),), {})  # I9

    def _send(
        self, reply: Reply, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reply:
        namespace = self._namespace
        task = current.get()
        caller = None if task is None else task.owner
        directory = namespace.scheme.directory
        call = Call(self.id, directory, name, args, kwargs, reply, caller)
        if caller is None:
            namespace.router.route(call)
        else:
            reply.asked = (self, name)
            caller.release_call(partial(namespace.router.route, call))  # I3
        return reply


class Code:
    """One version of a class.

    Attributes:
        cls: The class.
        methods: Which of its methods may be called, and with what.

    Raises:
        TypeError: As `methods_of` does.
    """

    def __init__(self, cls: type) -> None:
        self.cls: type[Any] = cls
        self.methods = methods_of(cls)


class _Interface:
    """What a namespace and its jurisdictions have in common: the class, and its stubs."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.stub_class = type(f"{code.cls.__name__}Stub", (Stub,), _calls(code))

    def renew(self, code: Code) -> None:
        # In place: a stub that somebody has is one of the new version then.
        for name in self.code.methods:
            delattr(self.stub_class, name)
        for name, call in _calls(code).items():
            setattr(self.stub_class, name, call)
        self.code = code


def _calls(code: Code) -> dict[str, Callable[..., Reply]]:
    return {name: _call_of(code.cls, name, method) for name, method in code.methods.items()}


def _call_of(cls: type, name: str, method: Method) -> Callable[..., Reply]:
    @wraps(getattr(cls, name))
    def call(self: Stub, /, *args: Any, **kwargs: Any) -> Reply:
        reply = Reply()
        try:
            args, kwargs = method.accept(args, kwargs, self._namespace.router.refer, reply)
        except (TypeError, ValueError, DurableObjectError) as error:
            reply.fail(error)
            return reply
        return self._send(reply, name, args, kwargs)

    return call


def directory_of(stub: Stub) -> str:
    """Return where the objects of a stub's class are kept."""
    return stub._namespace.scheme.directory


class DurableObjectNamespace(Generic[ObjT]):
    """All objects of one class. Type checkers see its stubs as that class.

    Args:
        binding: The name that the application has given it.
    """

    def __init__(self, binding: str, cls: type[ObjT], scheme: IdScheme, router: Router) -> None:
        self.binding = binding
        self.scheme = scheme
        self.router = router
        self._interface = _Interface(Code(cls))

    @property
    def cls(self) -> type[ObjT]:
        return self.code.cls

    @property
    def code(self) -> Code:
        """The version of the class that objects wake in."""
        return self._interface.code

    def rebind(self, code: Code) -> None:
        """Replace the class by another version, here and in all jurisdictions.

        Stubs that exist stay good and get the new methods. Objects in memory aren't touched.

        Raises:
            TypeError: If the class has another name. Nothing has changed.
        """
        if code.cls.__name__ != self.cls.__name__:
            raise TypeError(f"{code.cls.__name__} is no other version of {self.cls.__name__}")
        self._interface.renew(code)

    def get_by_name(self, name: str) -> ObjT:
        """Return a stub of the object called `name`."""
        return cast(ObjT, self._interface.stub_class(self, self.id_from_name(name)))

    def get(self, id: ObjectId) -> ObjT:
        """Return a stub of the object with that id.

        Raises:
            TypeError: If it is no id, or one of another class or jurisdiction.
        """
        if not isinstance(id, ObjectId):
            raise TypeError(f"expected an ObjectId, not {id!r}; see id_from_string()")
        within = self._within(self.scheme.scheme_of(id.hex))
        return cast(ObjT, self._interface.stub_class(within, id))

    def id_from_name(self, name: str) -> ObjectId:
        """Return the id that belongs to `name`, always the same."""
        if not isinstance(name, str):
            raise TypeError(f"an object's name is text, not {name!r}")
        return self.scheme.from_name(name)

    def id_from_string(self, hex: str) -> ObjectId:
        """Return the id that the 64 hex digits spell.

        Raises:
            TypeError: If they don't, or spell an id of another class.
        """
        if not isinstance(hex, str):
            raise TypeError(f"an id is spelt in 64 hex digits, not {hex!r}")
        return self.scheme.scheme_of(hex).parse(hex)

    def new_unique_id(self, *, jurisdiction: str | None = None) -> ObjectId:
        """Return the id of a new object, which nobody can guess."""
        return self.jurisdiction(jurisdiction).scheme.new()

    def jurisdiction(self, name: str | None) -> DurableObjectNamespace[ObjT]:
        """Return the part of the namespace whose objects are kept in one jurisdiction.

        Raises:
            ValueError: If there is no jurisdiction of that name.
        """
        if name is None:
            return self
        return self._within(IdScheme(self.scheme.unique_key, name))

    async def list(
        self, *, prefix: str | None = None, after: ObjectId | None = None, limit: int = 1000
    ) -> AsyncIterator[ObjectId]:
        """Yield the ids of objects that have storage, in order of their digits. Wakes none.

        Args:
            prefix: Only those whose name begins so.
            after: Only those beyond this one: the last of the page before.
            limit: How many at most.
        """
        ids = self.router.list_ids(self.scheme, prefix=prefix, after=after, limit=limit)
        async for id in ids:
            yield id

    def _within(self, scheme: IdScheme) -> DurableObjectNamespace[ObjT]:
        if scheme.jurisdiction == self.scheme.jurisdiction:
            return self
        part = copy(self)
        part.scheme = scheme
        return part


class NoSuchMethod:
    """What a stub has under a name that its object has no method for."""

    def __init__(self, name: str, reserved: frozenset[str] = RESERVED) -> None:
        self._name, self._reserved = name, reserved

    def __call__(self, *_: Any, **__: Any) -> Reply:
        reply = Reply()
        reply.fail(no_such_method(self._name, self._reserved))
        return reply

    def __await__(self) -> NoReturn:
        raise TypeError(f"a stub has no properties: call a method, {self._name}() for instance")
