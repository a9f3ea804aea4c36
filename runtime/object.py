"""What the author of an object writes against: the base class, and ``ctx``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, Protocol, Self

from pydantic_core.core_schema import CoreSchema
from typing_extensions import TypeVar

from runtime.annotations import reference_schema
from runtime.connection import WebSocketRequestResponsePair
from runtime.messages import Message
from runtime.sockets import MAX_EVENT_TIMEOUT, SocketSet, WebSocket

if TYPE_CHECKING:
    from runtime.ids import ObjectId
    from runtime.statements import SqlStorage
    from runtime.storage import Storage

EnvT = TypeVar("EnvT", default=Any)
T = TypeVar("T")


class Surroundings(Protocol):
    """What ``ctx`` stands for: the object's activation."""

    sockets: SocketSet
    instance: Any
    """The object; None until its constructor has returned."""

    def check(self) -> None:
        """Raise unless the object's own code is running, and the object is whole."""

    def block(self, callback: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Run a critical section whose failure resets the object."""

    def keep_awake_for(self, work: Awaitable[object]) -> None:
        """Run work that nobody waits for."""

    def abort(self, reason: str | None, *, retry_alarm: bool) -> NoReturn:
        """Reset the object."""


class DurableObjectState:
    """The object's view of itself: its storage, its sockets, its gates.

    Everything here is for the object's own code, while it runs: a handler, or a task that one
    has started. Used from elsewhere it raises `OutsideObject`.

    Attributes:
        id: Which object this is. Its name is known here too, however it was reached.
        storage: What survives.
    """

    def __init__(self, id: ObjectId, storage: Storage, around: Surroundings) -> None:
        self.id = id
        self.storage = storage
        self._around = around

    def block_concurrency_while(self, callback: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Run `callback` with everything else of this object held back (I2).

        Made for the constructor, where it needs no awaiting: no event is delivered before it
        is done. Elsewhere it should be rare, and never wait for the outside world.

        Returns:
            What the callback returns. Whoever awaits it goes on before any other event.

        Raises:
            RuntimeError: If such calls are nested more than 64 deep. Nothing happened.

        An error in `callback`, and one that takes longer than 30 seconds, resets the object:
        its callers get the error, and the next call makes it anew.
        """
        self._around.check()
        return self._around.block(callback)

    def wait_until(self, work: Awaitable[object]) -> None:
        """Keep the object awake until `work` is done. Its error is only logged."""
        self._around.check()
        self._around.keep_awake_for(work)

    def abort(self, reason: str | None = None, *, retry_alarm: bool = True) -> NoReturn:
        """Reset the object now: memory, sockets, and what isn't committed yet are gone.

        Callers get an `ObjectReset` that says `reason`. The next call makes the object anew,
        as it was at its last commit. Nothing after this line runs, ``except`` blocks included.

        Args:
            reason: For the callers.
            retry_alarm: Whether an alarm that is being run is tried again. If not, it is kept
                with its error, like one that has failed seven times.
        """
        self._around.check()
        self._around.abort(reason, retry_alarm=retry_alarm)

    # WebSockets.

    def accept_web_socket(self, ws: WebSocket, tags: Sequence[str] = ()) -> None:
        """Take over the socket that came with a request; answer ``switching_protocols`` then.

        Args:
            tags: Up to 10 texts of up to 256 characters, by which to find it again.

        Raises:
            RuntimeError: If it was accepted before, or the object has 32,768 already.
            TypeError: If the request came without a socket.
            ValueError: If there are too many tags, or one is too long.
        """
        self._around.check()
        if ws is None:  # which type checkers see, and people overlook
            raise TypeError("this request came without a WebSocket")
        self._around.sockets.accept(ws, tags)

    def get_web_sockets(self, tag: str | None = None) -> list[WebSocket]:
        """Return all accepted sockets, newest first; those with `tag`, oldest first.

        A socket that is closing is among them until its close event has been handled.
        """
        self._around.check()
        return self._around.sockets.all(tag)

    def get_tags(self, ws: WebSocket) -> list[str]:
        """Return the tags that a socket was accepted with.

        Raises:
            RuntimeError: If this object hasn't accepted it.
        """
        self._around.check()
        return self._around.sockets.tags(ws)

    def broadcast(
        self, message: Message, *, tag: str | None = None, exclude: Collection[WebSocket] = ()
    ) -> int:
        """Send a message to every open socket, and return how many there are.

        Args:
            tag: Only to those with this tag.
            exclude: Not to these.
        """
        self._around.check()
        return self._around.sockets.broadcast(message, tag, exclude)

    def set_web_socket_auto_response(
        self, pair: WebSocketRequestResponsePair | None = None
    ) -> None:
        """Answer one text message automatically, on all sockets, without waking the object.

        It holds for sockets to come as well, and replaces what was set before; None ends it.

        Raises:
            TypeError: If it is no such pair. What was set before stays.
        """
        self._around.check()
        if not (pair is None or isinstance(pair, WebSocketRequestResponsePair)):
            raise TypeError(f"expected a WebSocketRequestResponsePair, not {pair!r}")
        self._around.sockets.auto_response = pair
        self._set_up_sockets()

    def get_web_socket_auto_response(self) -> WebSocketRequestResponsePair | None:
        """Return what is answered automatically, or None."""
        self._around.check()
        return self._around.sockets.auto_response

    def get_web_socket_auto_response_timestamp(self, ws: WebSocket) -> float | None:
        """Return when `ws` was last answered automatically, in seconds since the epoch."""
        self._around.check()
        return ws.auto_response_time

    def set_hibernatable_web_socket_event_timeout(self, seconds: float | None = None) -> None:
        """Limit how long the handling of a socket's event may take; None or 0 for no limit.

        Raises:
            ValueError: If it is more than a week, or negative.
        """
        self._around.check()
        if seconds is not None and not 0 <= seconds <= MAX_EVENT_TIMEOUT:
            raise ValueError(f"Event timeout should not exceed {MAX_EVENT_TIMEOUT:.0f} seconds.")
        self._around.sockets.event_timeout = seconds or None
        self._set_up_sockets()

    def get_hibernatable_web_socket_event_timeout(self) -> float | None:
        """Return the limit, in seconds, or None."""
        self._around.check()
        return self._around.sockets.event_timeout

    def _set_up_sockets(self) -> None:
        if self._around.instance is not None:  # a constructor does it again in every life
            self._around.sockets.events.set_up()


class DurableObject(Generic[EnvT]):
    """Base class of all objects: one named, single-threaded thing with a memory of its own.

    The runtime makes an instance on the first event after a while, and drops it ten seconds
    after the last one. So nothing in ``self`` is worth keeping: what must survive belongs into
    ``self.ctx.storage``, and the sockets survive by themselves.

    Every public method may be called through a stub. A subclass may also define the handlers
    ``fetch(request)``, ``alarm(invocation)``, ``web_socket_message(ws, message)``,
    ``web_socket_close(ws, code, reason, was_clean)`` and ``web_socket_error(ws, error)``, all
    ``async``; they are called by the runtime and can't be called through a stub.

    Attributes:
        ctx: Its storage, sockets and gates.
        env: The application's bindings.
        migrations: The schema's history, oldest first: SQL, or a function of the `SqlStorage`.
            Before the first event of a life the object is brought to the newest, each step
            in one transaction with its number. Steps are appended, never changed.
    """

    migrations: ClassVar[Sequence[str | Callable[[SqlStorage], None]]] = ()

    def __init__(self, ctx: DurableObjectState, env: EnvT) -> None:
        self.ctx = ctx
        self.env = env

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return reference_schema(cls)  # what arrives where an object is asked for is a stub


class RpcTarget:
    """Base class of what crosses by reference: its public methods are called there, and run here.

    Who gets one as an argument or a result has a **handle**, on which its public methods can be
    called, and these besides:

    - ``dup()`` returns another handle. A handle that is an argument ends when the call has been
      answered; who needs it for longer keeps a ``dup()``.
    - ``dispose()`` ends it, as does the end of a ``with`` block. It ends too when nothing refers
      to it any more, and with the memory of the object that holds it.

    A subclass may define ``dispose(self)``, ``async`` or not: it is called here, as code of the
    object that has made the target, when the last handle has ended; and again only if the target
    has been sent anew. It can't be called through a handle: there, ``dispose()`` is the above. If
    the memory that the target is in goes first, it isn't called. Its error is only logged.
    """

    _rpc_target: ClassVar[bool] = True  # wire.RPC_TARGET_MARK

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return reference_schema(cls)  # what arrives where a target is asked for is a handle

    if TYPE_CHECKING:  # type checkers see a handle as the target's own class

        def dup(self) -> Self: ...
        def __enter__(self) -> Self: ...
        def __exit__(self, *error: object) -> None: ...
        async def __aenter__(self) -> Self: ...
        async def __aexit__(self, *error: object) -> None: ...


HANDLERS: Final = {
    "fetch": 1,
    "alarm": 1,
    "web_socket_message": 2,
    "web_socket_close": 4,
    "web_socket_error": 2,
}
"""What a class may have to handle its events, with the number of arguments beside ``self``."""


_PUT_OFF: Final = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)


def check_class(cls: type) -> None:
    """Refuse what can't be bound, before its first event finds out.

    Raises:
        TypeError: If it is no durable object's class, or one of its parts has the wrong shape.
    """
    if not (isinstance(cls, type) and issubclass(cls, DurableObject)):
        raise TypeError(f"{cls!r} can't be bound: it isn't a subclass of DurableObject")
    _check_migrations(cls)
    for name, handler in handlers_of(cls).items():
        arguments = range(1 + HANDLERS[name])
        try:
            inspect.signature(handler).bind(*arguments)
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}.{name}() doesn't take the {HANDLERS[name]} arguments of an event, "
                f"beside self: {error}"
            ) from None


def _check_migrations(cls: type[DurableObject[Any]]) -> None:
    steps: object = cls.migrations
    if isinstance(steps, str):
        raise TypeError(f"{cls.__name__}.migrations is a list of statements, not one")
    if not isinstance(steps, Sequence):
        raise TypeError(f"{cls.__name__}.migrations is a list of statements, not {steps!r}")
    for number, step in enumerate(steps, 1):
        which = f"{cls.__name__}: migration {number}"
        if not (isinstance(step, str) or callable(step)):
            raise TypeError(f"{which} is SQL or a function, not {step!r}")
        if any(is_put_off(step) or is_put_off(type(step).__call__) for is_put_off in _PUT_OFF):
            raise TypeError(f"{which} can't be async, nor a generator: nobody would run it")


def handlers_of(cls: type) -> dict[str, Callable[..., Any]]:
    """Return which handlers a class has."""
    return {name: getattr(cls, name) for name in HANDLERS if callable(getattr(cls, name, None))}
