"""For programs: seats, holds and orders."""

from typing import Any

from litestar import MediaType, Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel

from apps.booking.domain.hold import Reference
from apps.booking.domain.payment import sold_by
from apps.booking.domain.refusals import Declined, NotFound, Refusal
from apps.booking.domain.saga import AWAITS_PAYMENT
from apps.booking.domain.sale import Paid
from apps.booking.events.asked import (
    Confirm,
    NewEvent,
    NewHold,
    PaymentAnswer,
    Redeem,
    TakeOver,
    Wait,
)
from apps.booking.events.told import (
    EventListed,
    EventSeen,
    HoldSeen,
    OrderSeen,
    PlaceSeen,
    QueueSeen,
)
from apps.booking.objects.env import THE_ONE
from apps.booking.routes.given import (
    Catalogues,
    Customers,
    Events,
    IdempotencyKey,
    Orders,
    Queues,
    Ref,
    Slug,
    person,
    provide_slug,
)
from apps.booking.routes.making import new_house, open_event
from apps.booking.routes.problems import answer, problems
from apps.edge import NamedRequest
from apps.identity import needs_guest

KNOWN: dict[str, Any] = {
    "guards": [needs_guest],
    "tags": ["booking"],
    "security": [{"guest": []}],
}
# What a rush consists of does without a guard, for each of which Litestar copies the handler:
# `person` asks the same.
RUSH = KNOWN | {"guards": []}
OPEN: dict[str, Any] = {"tags": ["booking"]}
UNKNOWN = ResponseSpec(
    OrderSeen,
    generate_examples=False,
    description="Nobody knows yet whether the payment has gone through. The seats stay yours; ask "
    "for the order later",
)


@get("/api/booking/events", **OPEN, responses=problems())
async def list_events(catalogue: Catalogues) -> list[EventListed]:
    """List the events that are still to come, the next one first."""
    return [EventListed.of(each) for each in await catalogue.get_by_name(THE_ONE).upcoming()]


@post("/api/booking/events", **KNOWN, responses=problems(409))
async def create_event(
    request: NamedRequest, data: JSONBody[NewEvent], events: Events, customers: Customers
) -> EventSeen:
    """Make an event, which is yours then."""
    house = new_house(data, person(request))
    await open_event(house, events, customers)
    return EventSeen.of(*await events.get_by_name(house.slug).plan())


@get("/api/booking/events/{event:str}", **OPEN, responses=problems(404))
async def show_event(event_slug: Slug, events: Events) -> EventSeen:
    """Look at an event, with how each of its seats is."""
    return EventSeen.of(*await events.get_by_name(event_slug).plan())


@post("/api/booking/events/{event:str}/holds", **RUSH, responses=problems(404, 409, 429))
async def hold_seats(
    request: NamedRequest, event: FromPath[str], data: JSONBody[NewHold], events: Events
) -> Response[HoldSeen]:
    """Hold seats for ten minutes: all of them, or none."""
    guest = person(request)
    # In a rush most of all requests come here, and most of them are too late. So the event's name
    # isn't a dependency, of which Litestar makes a task, and a refusal isn't raised through it.
    try:
        stub = events.get_by_name(await provide_slug(event))
        sale = await stub.hold(guest, tuple(data.seats or ()), data.best or 0)
    except Refusal as refusal:
        return answer(request, refusal)
    return told(HoldSeen.of(sale), 201)


@get("/api/booking/events/{event:str}/mine", **KNOWN, responses=problems(404))
async def list_own_holds(request: NamedRequest, event_slug: Slug, events: Events) -> list[HoldSeen]:
    """List what you hold and haven't paid: for whoever has lost the answer to a hold."""
    sales = await events.get_by_name(event_slug).held_by(person(request))
    return [HoldSeen.of(sale) for sale in sales]


@get("/api/booking/holds/{hold:str}", **KNOWN, responses=problems(403, 404))
async def show_hold(request: NamedRequest, hold_ref: Ref, events: Events) -> HoldSeen:
    """Look at a hold of yours."""
    return HoldSeen.of(await events.get_by_name(hold_ref.slug).sale(person(request), hold_ref))


@post(
    "/api/booking/holds/{hold:str}/extend",
    **KNOWN,
    status_code=200,
    responses=problems(403, 404, 409, 410),
)
async def extend_hold(request: NamedRequest, hold_ref: Ref, events: Events) -> HoldSeen:
    """Get five minutes more, once."""
    return HoldSeen.of(await events.get_by_name(hold_ref.slug).extend(person(request), hold_ref))


@post(
    "/api/booking/holds/{hold:str}/voucher",
    **KNOWN,
    status_code=200,
    responses=problems(403, 404, 409, 410),
)
async def use_voucher(
    request: NamedRequest, hold_ref: Ref, data: JSONBody[Redeem], events: Events
) -> HoldSeen:
    """Pay less, with a voucher."""
    event = events.get_by_name(hold_ref.slug)
    return HoldSeen.of(await event.redeem(person(request), hold_ref, data.code))


@post(
    "/api/booking/holds/{hold:str}/share",
    **KNOWN,
    status_code=200,
    responses=problems(403, 404, 409, 410),
)
async def share_hold(request: NamedRequest, hold_ref: Ref, events: Events) -> HoldSeen:
    """Get what lets others take over some of these seats, and pay for them themselves."""
    return HoldSeen.of(await events.get_by_name(hold_ref.slug).share(person(request), hold_ref))


@post("/api/booking/holds/{hold:str}/seats", **KNOWN, responses=problems(403, 404, 409, 410))
async def take_over(
    request: NamedRequest, hold_ref: Ref, data: JSONBody[TakeOver], events: Events
) -> HoldSeen:
    """Take over seats that somebody shares. They are held until the same moment."""
    event = events.get_by_name(hold_ref.slug)
    names = tuple(data.seats)
    return HoldSeen.of(await event.take_over(person(request), hold_ref, data.share, names))


@delete("/api/booking/holds/{hold:str}", **KNOWN, responses=problems(403, 404, 409, 410))
async def release_hold(request: NamedRequest, hold_ref: Ref, events: Events) -> None:
    """Let seats go."""
    await events.get_by_name(hold_ref.slug).release(person(request), hold_ref)


@post(
    "/api/booking/holds/{hold:str}/confirm",
    **RUSH,
    status_code=200,
    responses=problems(402, 403, 404, 409, 410) | {202: UNKNOWN},
)
async def confirm_hold(
    request: NamedRequest,
    hold: FromPath[str],
    events: Events,
    data: JSONBody[Confirm | None] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[OrderSeen]:
    """Pay for seats. They are yours once this has answered with 200."""
    guest, wish, reference = person(request), data or Confirm(), Reference.read(hold)
    paid = await events.get_by_name(reference.slug).confirm(
        guest, reference, idempotency_key or "", wish.card, wish.total
    )
    return confirmed(paid)


@get("/api/booking/orders", **KNOWN, responses=problems())
async def list_orders(request: NamedRequest, customers: Customers) -> list[OrderSeen]:
    """List what you have bought, the newest first. It may lag behind by a second."""
    return [
        OrderSeen.of_order(order) for order in await customers.get_by_name(request.user.id).orders()
    ]


@get("/api/booking/orders/{order:str}", **KNOWN, responses=problems(403, 404))
async def show_order(request: NamedRequest, order_ref: Ref, orders: Orders) -> OrderSeen:
    """Look at an order of yours."""
    return OrderSeen.of_order(await orders.get_by_name(str(order_ref)).show(person(request)))


@post(
    "/api/booking/orders/{order:str}/cancel",
    **KNOWN,
    status_code=200,
    responses=problems(403, 404, 409),
)
async def cancel_order(request: NamedRequest, order_ref: Ref, orders: Orders) -> OrderSeen:
    """Give seats back, and get back what the rules say: all until a week before, then half."""
    return OrderSeen.of_order(await orders.get_by_name(str(order_ref)).cancel(person(request)))


@get("/api/booking/events/{event:str}/waiting", **KNOWN, responses=problems(404))
async def show_place(request: NamedRequest, event_slug: Slug, events: Events) -> PlaceSeen:
    """Look at your place on the waiting list."""
    return PlaceSeen(place=await events.get_by_name(event_slug).place(person(request)))


@post("/api/booking/events/{event:str}/waiting", **KNOWN, responses=problems(404, 409))
async def wait_for_seats(
    request: NamedRequest, event_slug: Slug, data: JSONBody[Wait], events: Events
) -> PlaceSeen:
    """Wait for seats that become free. They are held for you for five minutes then."""
    place = await events.get_by_name(event_slug).wait(person(request), data.seats)
    return PlaceSeen(place=place)


@delete("/api/booking/events/{event:str}/waiting", **KNOWN, responses=problems(404))
async def stop_waiting(request: NamedRequest, event_slug: Slug, events: Events) -> None:
    """Wait no longer."""
    await events.get_by_name(event_slug).stop_waiting(person(request))


@post(
    "/api/booking/events/{event:str}/queue", **KNOWN, status_code=200, responses=problems(404, 429)
)
async def enter_queue(
    request: NamedRequest, event_slug: Slug, events: Events, queues: Queues
) -> QueueSeen:
    """Come into the waiting room, and see how far you are. To come again changes nothing."""
    await events.get_by_name(event_slug).place(person(request))  # raises, if there is no such event
    place = await queues.get_by_name(event_slug).join(request.user.id)
    return QueueSeen(is_in=place.is_in, before=place.before, seconds=place.seconds)


@post("/api/booking/payments/answers", **OPEN, status_code=204, responses=problems(404))
async def payment_answered(data: JSONBody[PaymentAnswer], events: Events) -> None:
    """Be told by the payment provider that it has something to say.

    Anybody may say so: nothing of it is believed, and the provider is asked.
    """
    reference, _ = sold_by(data.payment)
    if not await events.get_by_name(reference.slug).payment_answered(data.payment):
        raise NotFound("there is no such payment")


def confirmed(paid: Paid) -> Response[Any]:
    """Return the answer to whoever has paid."""
    headers = {"Idempotent-Replayed": "true"} if paid.is_replayed else {}
    if paid.declined:
        raise Declined(paid.declined, is_replayed=paid.is_replayed)
    status = 202 if paid.sale.state in AWAITS_PAYMENT else 200
    return told(OrderSeen.of(paid.sale), status, headers)


def told(seen: BaseModel, status: int, headers: dict[str, str] | None = None) -> Response[Any]:
    """Return a model as an answer: as pydantic writes it, which is quicker than by way of dicts."""
    content = seen.model_dump_json().encode()
    return Response(content, status_code=status, headers=headers, media_type=MediaType.JSON)


HANDLERS = [
    list_events,
    create_event,
    show_event,
    hold_seats,
    list_own_holds,
    show_hold,
    extend_hold,
    use_voucher,
    share_hold,
    take_over,
    release_hold,
    confirm_hold,
    list_orders,
    show_order,
    cancel_order,
    show_place,
    wait_for_seats,
    stop_waiting,
    enter_queue,
    payment_answered,
]
