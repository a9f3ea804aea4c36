"""For organisers' programs: making and changing events."""

from typing import Any

from litestar import get, patch, post
from litestar.params import JSONBody

from apps.booking.domain.house import House, Person, Tier, section_rows
from apps.booking.domain.refusals import Conflict
from apps.booking.events.asked import ChangeEvent, NewEvent, NewVoucher
from apps.booking.events.told import EntrySeen, EventSeen, HoldSeen, VoucherSeen
from apps.booking.objects.customer import Customer
from apps.booking.objects.event import Event
from apps.booking.routes.given import Events, Slug, person
from apps.booking.routes.problems import problems
from apps.edge import NamedRequest
from apps.identity import needs_guest
from runtime import DurableObjectNamespace

KNOWN: dict[str, Any] = {
    "guards": [needs_guest],
    "tags": ["booking: organisers"],
    "security": [{"guest": []}],
    "responses": problems(403, 404, 409),
}


@patch("/api/booking/events/{event:str}", **KNOWN)
async def change_event(
    request: NamedRequest, event_slug: Slug, data: JSONBody[ChangeEvent], events: Events
) -> EventSeen:
    """Change an event of yours. Seats that are held keep the price that they were held at."""
    event = events.get_by_name(event_slug)
    await event.change(person(request), changes_of(data))
    return EventSeen.of(*await event.plan())


@get("/api/booking/events/{event:str}/holds", **KNOWN)
async def list_holds(request: NamedRequest, event_slug: Slug, events: Events) -> list[HoldSeen]:
    """List what is held and not paid yet, the first hundred."""
    books = await events.get_by_name(event_slug).books(person(request))
    return [HoldSeen.of(sale) for sale in books.held]


@get("/api/booking/events/{event:str}/audit", **KNOWN)
async def show_audit(request: NamedRequest, event_slug: Slug, events: Events) -> list[EntrySeen]:
    """Read the last lines of the audit log, the newest first."""
    return [
        EntrySeen.of(entry) for entry in await events.get_by_name(event_slug).audit(person(request))
    ]


@post("/api/booking/events/{event:str}/vouchers", **KNOWN)
async def add_voucher(
    request: NamedRequest, event_slug: Slug, data: JSONBody[NewVoucher], events: Events
) -> VoucherSeen:
    """Make a voucher."""
    event = events.get_by_name(event_slug)
    await event.add_voucher(person(request), data.code, data.percent, data.uses)
    return VoucherSeen(code=data.code, percent=data.percent, uses=data.uses)


def new_house(wanted: NewEvent, owner: Person) -> House:
    """Return the event that somebody wants to make."""
    return House(
        slug=wanted.slug,
        title=wanted.title,
        rows=wanted.rows,
        seats_per_row=wanted.seats_per_row,
        owner=owner,
        starts_at=wanted.starts_at.timestamp() if wanted.starts_at else 0.0,
        per_person=wanted.per_person,
        tiers=(Tier("Standard", 0, wanted.rows - 1, wanted.price),),
        section_rows=section_rows(wanted.rows, wanted.seats_per_row),
    )


async def open_event(
    house: House, events: DurableObjectNamespace[Event], customers: DurableObjectNamespace[Customer]
) -> None:
    """Make an event.

    Raises:
        Conflict: If there is one of that name, or its owner has made too many.
    """
    owner = customers.get_by_name(house.owner.id)
    await owner.may_make_an_event()
    if not await events.get_by_name(house.slug).open(house):
        raise Conflict(f"there is an event called {house.slug!r} already")
    await owner.has_made(house.slug)


def changes_of(wanted: ChangeEvent) -> dict[str, Any]:
    """Return what is to change of an event, as its office takes it."""
    changes = wanted.model_dump(exclude_none=True, exclude={"tiers", "starts_at"})
    if wanted.starts_at is not None:
        changes["starts_at"] = wanted.starts_at.timestamp()
    if wanted.tiers is not None:
        changes["tiers"] = [
            {
                "name": tier.name,
                "first_row": tier.first_row - 1,
                "last_row": tier.last_row - 1,
                "cents": tier.price,
            }
            for tier in wanted.tiers
        ]
    return changes


HANDLERS = [change_event, list_holds, show_audit, add_voucher]
