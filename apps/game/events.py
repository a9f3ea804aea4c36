"""What programs send to the game, and what they get, as values with their limits.

What they get of a match is a `View`, which is told in `domain.view`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from apps.game.domain.clock import Control
from apps.game.domain.commands import Action, Answer
from apps.game.domain.games import GAMES
from apps.game.domain.lobby import Challenge, Wish
from apps.game.domain.match import OfferKind, Opponent
from apps.numbers import Number, Whole


def _known_game(name: str) -> str:
    known = "-".join(name.lower().replace("_", " ").split())  # "Connect Four" is well meant
    if known not in GAMES:
        raise ValueError(f"there is no game {name!r}; there are {', '.join(GAMES)}")
    return known


class Body(BaseModel):
    """Base of all of them: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# From the client.


class Timed(Body):
    """So much time for the whole match, and something added for each move. In seconds."""

    initial: Annotated[Number, Field(ge=1, le=3 * 3600)]
    increment: Annotated[Number, Field(ge=0, le=180)] = 0.0


class Daily(Body):
    """Days for each move."""

    days: Annotated[Whole, Field(ge=1, le=14)]


class NewMatch(Body):
    """Play."""

    game: Annotated[
        str, AfterValidator(_known_game), Field(json_schema_extra={"enum": list(GAMES)})
    ]
    clock: Timed | Daily
    opponent: Opponent
    """Whoever wants the same, whoever has the link, or a bot."""
    seat: Annotated[Whole, Field(ge=0, le=1)] | None = None
    """Where to sit: 0 begins. By lot, if it isn't said. Whoever says it may wait for longer: until
    somebody comes who can sit opposite."""

    def wish(self) -> Wish:
        """Return it as the match takes it."""
        clock = self.clock
        if isinstance(clock, Daily):
            control = Control(initial=0.0, days=clock.days)
        else:
            control = Control(clock.initial, clock.increment)
        return Wish(self.game, control, self.opponent, self.seat)


class JoinMatch(Body):
    """Take the free seat."""

    key: Annotated[str, Field(max_length=64)] = ""
    """From the link, if only who was sent it may come."""


class MakeMove(Body):
    """Move."""

    ply: Annotated[Whole, Field(ge=0, le=10_000)]
    """What `ply` was when the move was thought of."""
    move: str
    """In the game's own words, which `how_to_move` tells; all else is no legal move."""
    took: Annotated[Number, Field(ge=0, le=10**9)] | None = None
    """Seconds that it took by your own clock. Time spent on the way is given back, up to half
    a second."""


class Propose(Body):
    """Offer something, answer an offer, or end the match."""

    kind: OfferKind | Action
    answer: Answer | None = None
    """To what the opponent has offered; nothing makes an offer of one's own."""


# To the client.


class Links(Body):
    """Where a match is found."""

    page: str
    invitation: str | None
    """The page for whoever is to sit opposite, as long as nobody does."""
    join: str | None
    """What their program posts to."""
    match: str
    log: str
    socket: str


class Joined(Body):
    """A seat in a match."""

    id: str
    seat: int
    links: Links

    @classmethod
    def of(cls, id: str, seat: int, key: str | None) -> Joined:
        """Return it with its links. `key` lets somebody else sit down."""
        page, api = f"/game/{id}", f"/api/game/matches/{id}"
        links = Links(
            page=page,
            invitation=None if key is None else f"{page}?key={key}",
            join=None if key is None else f"{api}/join?key={key}",
            match=api,
            log=f"{api}/log",
            socket=f"{page}/ws",
        )
        return cls(id=id, seat=seat, links=links)


class Listed(Body):
    """Somebody who waits for anyone."""

    id: str
    game: str
    clock: Timed | Daily
    player: str
    rating: str

    @classmethod
    def of(cls, challenge: Challenge) -> Listed:
        """Return what is said of a challenge."""
        control = challenge.control
        if control.days is None:
            clock: Timed | Daily = Timed(initial=control.initial, increment=control.increment)
        else:
            clock = Daily(days=control.days)
        player = challenge.player
        return cls(
            id=challenge.match,
            game=challenge.game,
            clock=clock,
            player=player.name,
            rating=str(player.rating),
        )
