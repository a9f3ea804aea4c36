"""When events come in, and when messages go out.

Two gates stand around every object:

- The **input gate** says whose code may run. It stands open, except while a *critical
  section* runs: then nothing else does, neither a new event nor the rest of an older one (I2).
- The **output gate** says which message may leave. It holds back whatever was sent after a
  write until that write is durable (I3).

Gates are not locks around events: an object that waits for another one is open to events
meanwhile, so A may call B while B calls A. Idea and names come from workerd's ``io-gate.h``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

MAX_NESTING: Final = 64  # critical sections within critical sections, as in the original

Call = Callable[[], object]


class Waiter(Protocol):
    """Code that has to pass an input gate before its next step."""

    def step(self) -> None:
        """Run up to the next ``await``."""


class InputGate:
    """Lets one group of an object's tasks run: everything, or one critical section.

    A critical section is itself an input gate, inside the one it was started at; a task
    belongs to the gate that it, or whoever started it, was born in.

    Invariants:
        - While a section runs, no task of the enclosing gates takes a step.
        - Sections that were started at the same gate run one after another, in order.
        - Waiting tasks go on in the order in which they came, after all waiting sections.
        - Whoever awaits a section goes on before anything else is let in.
    """

    def __init__(self, schedule: Callable[[Call], object], parent: InputGate | None = None) -> None:
        """Args:
        schedule: Calls a function soon, in a turn of its own: the loop's ``call_soon``.
        parent: The gate that this one is a critical section of.
        """
        self._schedule = schedule
        self._parent = parent
        self._depth: int = 0 if parent is None else parent._depth + 1
        self._waiting: deque[Waiter] = deque()
        # The first one runs; the others wait for their turn, each with what starts it.
        self._sections: deque[tuple[InputGate, Call]] = deque()
        # True from a section's end until whoever awaits it has had its turn.
        self._handing_over: object | None = None
        self._finished = False
        # The end of a section, put off while sections inside it go on.
        self._ending: Call | None = None

    @property
    def is_open(self) -> bool:
        """Whether a task that belongs here may take its next step now."""
        return not self._sections and not self._waiting

    @property
    def queued(self) -> int:
        """How many tasks wait here."""
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[Waiter, ...]:
        """Those who wait here, in order."""
        return tuple(self._waiting)

    def admit(self, waiter: Waiter, awaited: object = None) -> bool:
        """Whether `waiter` may take its step now. If not, its `step` is called in its turn.

        Args:
            awaited: What it has been waiting for: the result of a section may have just come.
        """
        gate = self
        while gate._finished and gate._parent is not None:
            gate = gate._parent
        if not gate._sections and not gate._waiting:
            return True
        if gate._handing_over is not None and awaited is gate._handing_over:
            return True
        gate._waiting.append(waiter)
        return False

    def withdraw(self, waiter: Waiter) -> None:
        """Let go of somebody who waits here, and needs no turn any more."""
        self._waiting.remove(waiter)

    def start_section(self, begin: Callable[[InputGate], object]) -> InputGate:
        """Shut the gate for a critical section, and start it when its turn comes.

        Args:
            begin: Called once with the section, which the section's own tasks belong to.

        Raises:
            RuntimeError: If sections are nested more than 64 deep. The gate is as it was.
        """
        gate = self
        while gate._finished and gate._parent is not None:
            gate = gate._parent
        if gate._depth >= MAX_NESTING:
            raise RuntimeError("block_concurrency_while() calls are nested too deeply.")
        section = InputGate(gate._schedule, gate)
        gate._sections.append((section, lambda: begin(section)))
        if len(gate._sections) == 1:
            begin(section)
        return section

    def finish(self, result: object = None, complete: Call | None = None) -> None:
        """End this critical section, once those inside it have ended.

        Args:
            result: Whoever awaits this goes on first.
            complete: Called when the section ends, to complete `result`.
        """
        parent = self._parent
        assert parent is not None, "the outermost gate is no section"
        assert parent._sections[0][0] is self, "only the section that runs can end"
        if self._sections:
            self._ending = lambda: self.finish(result, complete)
            return
        if complete is not None:
            complete()  # its reader is then in the loop's queue, ahead of us
        self._finished = True
        # Tasks that the section left behind belong to the enclosing gate from now on.
        parent._waiting.extendleft(reversed(self._waiting))
        self._waiting.clear()
        parent._handing_over = result
        # Soon, not now: the reader of `result` takes its step first, and may start a section.
        parent._schedule(parent._let_in_next)

    def _let_in_next(self) -> None:
        self._handing_over = None
        self._sections.popleft()
        if self._sections:
            self._sections[0][1]()
        elif self._ending is not None:
            self._ending()
        # One by one: any of them may start a section, and shut the gate behind it.
        while self._waiting and not self._sections:
            self._waiting.popleft().step()


class Lock:
    """A write that isn't durable yet. Messages sent after it stay behind it."""

    __slots__ = ("_gate", "released")

    def __init__(self, gate: OutputGate) -> None:
        self._gate = gate
        self.released = False

    def release(self) -> None:
        """Say that the write is durable, or has turned out not to exist."""
        self.released = True
        self._gate._drain()


class OutputGate:
    """Holds an object's messages until the writes they may reveal are durable.

    One queue of locks and messages: a message leaves when no lock stands before it. So
    messages keep their order, a message doesn't wait for later writes, and locks may be
    released in any order.
    """

    def __init__(self) -> None:
        self._queue: deque[Lock | Call] = deque()
        self._broken = False

    @property
    def is_open(self) -> bool:
        """Whether nothing is held back."""
        return not self._queue

    @property
    def is_passable(self) -> bool:
        """Whether a message may leave at once, and will."""
        return not (self._queue or self._broken)

    @property
    def is_broken(self) -> bool:
        """Whether a write was lost."""
        return self._broken

    @property
    def held_back(self) -> int:
        """How many messages wait for a write to be durable."""
        return sum(not isinstance(each, Lock) for each in self._queue)

    def lock(self) -> Lock:
        """Shut the gate for all messages to come, until the lock is released."""
        lock = Lock(self)
        self.hold(lock)
        return lock

    def hold(self, lock: Lock) -> None:
        """Shut the gate with a lock that has been made for it."""
        if not self._broken:
            self._queue.append(lock)

    def send(self, message: Call) -> None:
        """Call `message` as soon as every write made so far is durable: now, if they are."""
        if self._broken:
            return
        if self._queue:
            self._queue.append(message)
        else:
            message()

    def shatter(self) -> None:
        """Lose a write: nothing that is held back will ever leave, nor anything after it."""
        self._broken = True
        self._queue.clear()

    def _drain(self) -> None:
        queue = self._queue
        while queue:
            head = queue[0]
            if isinstance(head, Lock):
                if not head.released:
                    return
                queue.popleft()
            else:
                queue.popleft()
                try:
                    head()
                except BaseException:  # it is raised, but the others behind it leave too
                    self._drain()
                    raise
