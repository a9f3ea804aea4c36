"""What goes wrong in a simulated run, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from runtime.activation import Activation
from runtime.errors import ObjectReset
from runtime.faults import POINTS
from runtime.loopback import ClientSocket
from runtime.scenario import KINDS, Kind
from runtime.seeded import SeededRuntime
from runtime.tasks import spawn_outside

LONGEST_SECONDS: Final = 0.5  # that a disk is bad

_IN_WORDS: Final = {
    "evict": "an object is evicted",
    "reset": "an object is reset",
    "crash": "the process dies",
    "power cut": "the power fails",
    "drop": "a client loses its sockets",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    - ``evict``: an object loses its memory, if it is quiet.
    - ``reset``: an object loses its memory, its sockets, and whatever isn't committed.
    - ``crash``: the process dies at once; ``crash at``: when it next comes to a point.
    - ``power cut``: it dies while something is written, of which a part is left.
    - ``slow disk``, ``broken disk``: so it is, for up to half a second.
    - ``drop``: a client loses its sockets.
    """

    label: str
    at: float
    """When, in seconds since the run began."""
    kind: Kind
    share: float
    """Which object, point or part, and how long: a number from 0 up to 1."""

    def __str__(self) -> str:
        match self.kind:
            case "crash at":
                return f"the process dies at the next {_pick(POINTS, self.share)!r}"
            case "slow disk" | "broken disk":
                return f"{self.kind}, for {self.share * LONGEST_SECONDS:.3f} s"
            case _:
                return _IN_WORDS[self.kind]


def plan_faults(
    random: Random, seconds: float, count: int, kinds: Sequence[Kind] = KINDS
) -> list[Fault]:
    """Return what is to go wrong in the first `seconds` of a run: 0 to twice `count` faults."""
    return [
        Fault(f"!{number}", random.uniform(0, seconds), random.choice(kinds), random.random())
        for number in range(random.randint(0, 2 * count))
    ]


def inflict(
    fault: Fault, runtime: SeededRuntime, sockets: Mapping[str, Sequence[ClientSocket]]
) -> None:
    """Let it happen.

    Args:
        sockets: Those that each client has open.
    """
    match fault.kind:
        case "evict":
            if (life := _pick_life(runtime, fault.share)) and not life.failure and life.is_quiet:
                runtime.host.evict(life)
        case "reset":
            if life := _pick_life(runtime, fault.share):
                life.break_off(ObjectReset("the simulation has reset this object"))
        case "crash":
            runtime.die()
        case "power cut":
            runtime.cut_power(fault.share)
        case "crash at":
            if not runtime.is_to_crash:
                runtime.crash_at(_pick(POINTS, fault.share))
        case "slow disk" | "broken disk":
            if fault.kind == "slow disk":
                runtime.disk.slow(fault.share * LONGEST_SECONDS / 4)
            else:
                runtime.disk.fail()
            runtime.clock.call_later(fault.share * LONGEST_SECONDS, runtime.disk.mend)
        case "drop":
            for socket in _pick(list(sockets.values()), fault.share):
                spawn_outside(socket.vanish())


def _pick_life(runtime: SeededRuntime, share: float) -> Activation | None:
    lives = sorted(runtime.host.lives(), key=lambda life: life.id.hex)
    return _pick(lives, share) if lives else None


def _pick(choices: Sequence[T], share: float) -> T:
    return choices[int(share * len(choices))]
