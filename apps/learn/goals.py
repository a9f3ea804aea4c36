"""What somebody is to see in a step, and how the server knows that they have seen it.

A goal looks at the lines that the bench has written for a step, oldest first: ``cats.add() → 3,
heard by 2 windows`` or ``cats fell asleep, with 2 windows open``. It is met once its parts are
found, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """Something to be seen."""

    wish: str
    """What to do, for a person."""
    seen: str
    """What it has shown, once it is met."""
    parts: tuple[str, ...]
    """Regular expressions, for lines one after the other."""

    def is_met(self, lines: Iterable[str]) -> bool:
        """Whether these lines show it."""
        wanted = list(self.parts)
        for line in lines:
            if wanted and re.search(wanted[0], line):
                wanted.pop(0)
        return not wanted


GOALS: dict[tuple[int, int], Goal] = {
    (1, 1): Goal(
        "Add three times, and ask for the value.",
        "You have called an object by its name, and it counted.",
        (r"\.add\(\) → 3", r"\.value\(\) → 3"),
    ),
    (1, 2): Goal(
        "Add one, let it fall asleep, and ask for the value.",
        "It fell asleep, and its memory was gone.",
        (r"\.add\(\) → [1-9]", r"asleep", r"\.value\(\) → 0"),
    ),
    (1, 3): Goal(
        "Add one, let it fall asleep, and ask for the value.",
        "It fell asleep, and woke up with its number.",
        (r"\.add\(\) → [1-9]", r"asleep", r"\.value\(\) → [1-9]"),
    ),
    (1, 4): Goal(
        "Add one to cats and one to dogs.",
        "Each name has an object, and a number, of its own.",
        (r"^cats\.add\(\)", r"^dogs\.add\(\) → 1"),
    ),
    (1, 5): Goal(
        "Open two windows, and add one.",
        "Both windows were told, once the number was on the disk.",
        (r"\.add\(\) → \d+, heard by [2-9]",),
    ),
    (1, 6): Goal(
        "Open two windows, let it fall asleep, and add one.",
        "It fell asleep, and both windows stayed connected.",
        (r"asleep, with [2-9] windows", r"\.add\(\) → \d+, heard by [2-9]"),
    ),
    (2, 1): Goal(
        "Open a window, and say something.",
        "What was said was pushed to whoever is in the room.",
        (r"\.say\(.+heard by [1-9]",),
    ),
    (2, 2): Goal(
        "Say something, let the room fall asleep, and ask for all.",
        "It was kept.",
        (r"\.say\(", r"asleep", r"\.all\(\) → .*<li"),
    ),
    (2, 3): Goal(
        "Open a window, close it, say something, and open a window again.",
        "The second window was told nothing of what it had missed.",
        (r"a window on \w+ was opened", r"\.say\(", r"was opened"),
    ),
    (2, 4): Goal(
        "Say something, and open a window.",
        "It was told what had been said before it came.",
        (r"\.say\(", r"a window on \w+ was opened"),
    ),
    (2, 5): Goal(
        "Open a window, and let the room fall asleep.",
        "Who is in a room stays with their socket, while it sleeps.",
        (r"a window on \w+ was opened", r"asleep, with [1-9]"),
    ),
    (2, 6): Goal(
        "Say the same with the same id twice, and ask for all.",
        "It was said once.",
        (r"\.say\((.+)\)", r"\.say\((.+)\)", r"\.all\(\)"),
    ),
    (3, 2): Goal(
        "Play x on 4, then x again.",
        "The match said no, and nothing had changed.",
        (r"\.play\(x, \d\) →", r"\.play\(x, \d\) ⇥ IllegalMove"),
    ),
    (3, 3): Goal(
        "Play x on 4, let the match fall asleep, and ask for the game.",
        "Five seconds are long over, and nobody has won.",
        (r"\.play\(x, \d\) →", r"asleep", r"\.game\(\) → .*winner=''"),
    ),
    (3, 4): Goal(
        "Play x on 4, wait for five seconds, and ask for the game.",
        "The flag fell by itself.",
        (r"\.play\(x, \d\) →", r"\.game\(\) → .*winner='x'"),
    ),
    (3, 5): Goal(
        "Play x on 4 for turn 0, then x on 8 for turn 0.",
        "A move that was meant for another board was refused.",
        (r"\.play\(x, \d, 0\) →", r"\.play\(x, \d, 0\) ⇥ IllegalMove"),
    ),
    (4, 1): Goal(
        "Buy a ticket, and ask for the tickets.",
        "It is paid, and it is there.",
        (r"\.buy\(", r"\.tickets\(\) → \['"),
    ),
    (4, 2): Goal(
        "Press buy five times, as fast as you can, and ask for the tickets.",
        "Whoever waits for the bank lets the others in.",
        (r"\.buy\(", r"\.tickets\(\) → \['"),
    ),
    (4, 3): Goal(
        "Buy four tickets.",
        "The fourth was refused.",
        (r"\.buy\(.*\) ⇥ SoldOut",),
    ),
    (4, 4): Goal(
        "Buy a ticket, and ask the bank for its charges.",
        "Two objects agree, most of the time.",
        (r"\.buy\(", r"\.charges\(\) → \['"),
    ),
    (4, 5): Goal(
        "Let Mallory buy a ticket, and ask for the html a moment later.",
        "Mallory's ticket was taken back, because the bank said no.",
        (r"\.buy\(Mallory\)", r"\.html\(\) → .*3 left"),
    ),
    (4, 6): Goal(
        "Buy twice with the same key, and ask the bank for its charges.",
        "It was one purchase.",
        (r"\.buy\(", r"\.buy\(", r"\.charges\(\) → \['[^,]*\]"),
    ),
    (5, 1): Goal(
        "Boil an egg for 2 seconds, and ask for the state when it is done.",
        "It rang.",
        (r"\.boil\(", r"\.state\(\) → done"),
    ),
    (5, 2): Goal(
        "Boil an egg for 5 seconds, crash the pan meanwhile, and ask for its state, as often as "
        "you like.",
        "It boils for ever: what would have rung was in memory.",
        (r"\.boil\(", r"crashed", r"\.state\(\) → boiling"),
    ),
    (5, 3): Goal(
        "Boil an egg for 5 seconds, crash the pan meanwhile, and ask for its state.",
        "The alarm was on the disk, and it rang.",
        (r"\.boil\(", r"crashed", r"\.state\(\) → done"),
    ),
    (5, 4): Goal(
        "Boil an egg for 5 seconds, have the pan crash as it rings, and ask the kitchen's book for "
        "its eggs, a few seconds later.",
        "One egg, and twice in the book.",
        (r"\.boil\(", r"will crash as it rings", r"\.eggs\(\) → .*('.+'), \1"),
    ),
    (5, 5): Goal(
        "Boil an egg for 5 seconds, have the pan crash as it rings, and ask the kitchen's book for "
        "its eggs, a few seconds later.",
        "It rang twice, and the egg is in the book once.",
        (r"\.boil\(", r"will crash as it rings", r"\.eggs\(\) → \['"),
    ),
    (5, 6): Goal(
        "Boil an egg for 20 seconds, and another one for 2.",
        "The second took the first one's place.",
        (r"\.boil\(.*, 20", r"\.boil\(.*, 2\.?0?\) →"),
    ),
    (5, 7): Goal(
        "Boil an egg for 20 seconds, and try to boil another one.",
        "The pan said no.",
        (r"\.boil\(.*, 20", r"\.boil\(.*\) ⇥ PanInUse"),
    ),
}
