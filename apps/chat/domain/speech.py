"""What is in a text: commands, and the names of people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from apps.chat.domain.messages import BadText, Kind, Message
from apps.chat.domain.people import Person

MOST_DICE = 20
MOST_SIDES = 1_000
MOST_MENTIONS = 20  # in one message

_COMMAND = re.compile(r"/(me|dice)(?:\s+(.*))?", re.DOTALL)
_DICE = re.compile(r"(\d{0,3})d(\d{1,5})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What somebody wants to say."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Throw:
    """Dice that somebody wants to have thrown."""

    count: int
    sides: int

    def result(self, thrown: Sequence[int]) -> Utterance:
        """Return what is said of the numbers that have come up."""
        sum_of_many = f" = {sum(thrown)}" if len(thrown) > 1 else ""
        numbers = " + ".join(map(str, thrown))
        return Utterance(Kind.DICE, f"{self.count}d{self.sides}: {numbers}{sum_of_many}")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text."""

    text: str
    person: Person | None = None
    """Whose name it is, with the ``@``."""


def understood(text: str) -> Utterance | Throw:
    """Return what a text means: ``/me waves``, ``/dice 2d6``, or simply itself.

    Raises:
        BadText: If a command has no sense.
    """
    command = _COMMAND.fullmatch(text)
    if command is None:
        return Utterance(Kind.SAY, text)
    name, rest = command[1], (command[2] or "").strip()
    if name == "dice":
        return _throw(rest or "1d6")
    if not rest:
        raise BadText("what do you do? Write it behind /me, such as /me waves")
    return Utterance(Kind.ME, rest)


def _throw(text: str) -> Throw:
    dice = _DICE.fullmatch(text)
    if dice is not None:
        count, sides = int(dice[1] or 1), int(dice[2])
        if 1 <= count <= MOST_DICE and 2 <= sides <= MOST_SIDES:
            return Throw(count, sides)
    raise BadText(
        f"dice are thrown by /dice, /dice d20 or /dice 2d6: "
        f"up to {MOST_DICE} of 2 to {MOST_SIDES:,} sides"
    )


def mentions(text: str, people: Iterable[Person]) -> tuple[Person, ...]:
    """Return whom a text names with an ``@``. Of people with one name, all are meant."""
    found = {person: None for _, _, named in _named(text, people) for person in named}
    return tuple(found)[:MOST_MENTIONS]


def parts(message: Message) -> tuple[Part, ...]:
    """Return a message's text cut into names that it mentions, and what is between them."""
    pieces, end = list[Part](), 0
    for start, stop, named in _named(message.text, message.mentions):
        if start > end:
            pieces.append(Part(message.text[end:start]))
        pieces.append(Part(message.text[start:stop], named[0]))
        end = stop
    if end < len(message.text):
        pieces.append(Part(message.text[end:]))
    return tuple(pieces)


def _named(text: str, people: Iterable[Person]) -> Iterator[tuple[int, int, list[Person]]]:
    """Yield where names stand, the longest that fits each ``@``, and whose they are."""
    if "@" not in text:
        return
    by_length = sorted(people, key=lambda person: -len(person.name))
    at = -1
    for _ in range(MOST_MENTIONS):
        if (at := text.find("@", at + 1)) < 0:
            return
        named = [person for person in by_length if _stands_at(person.name, text, at + 1)]
        if named:
            length = len(named[0].name)
            stop = at + 1 + length
            yield at, stop, [person for person in named if len(person.name) == length]
            at = stop - 1


def _stands_at(name: str, text: str, at: int) -> bool:
    stop = at + len(name)
    return text[at:stop].casefold() == name.casefold() and not text[stop : stop + 1].isalnum()
