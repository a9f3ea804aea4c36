"""For people: the pages of events and orders. What forms do is in `forms`."""

import csv
import io
from typing import Annotated, Any

from litestar import Request, get, websocket
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath, QueryParameter
from litestar.response import Response, Template

from apps.booking import views
from apps.booking.domain import calendar
from apps.booking.domain.hold import Reference
from apps.booking.domain.house import check_slug
from apps.booking.domain.refusals import Refusal
from apps.booking.objects.env import THE_ONE
from apps.booking.objects.event import Event
from apps.booking.objects.section import Section
from apps.booking.routes.given import (
    Catalogues,
    Customers,
    Events,
    Orders,
    Queues,
    Ref,
    Sections,
    Slug,
    person,
)
from apps.edge import GuestRequest, GuestSocket, NamedRequest, turn_away
from apps.identity import needs_guest, who
from apps.welcome import ask_name
from runtime import DurableObjectNamespace
from runtime.litestar import forward

MAX_FRAME_BYTES = 256  # clients only say where they look
SectionNumber = Annotated[int, QueryParameter(ge=0, le=200)]
MaybeSection = Annotated[int | None, QueryParameter(ge=0, le=200)]
Share = Annotated[str, QueryParameter(max_length=20)]


@get("/booking", include_in_schema=False)
async def show_events(
    request: GuestRequest, catalogue: Catalogues, customers: Customers
) -> Template:
    """Show what is on."""
    listings = await catalogue.get_by_name(THE_ONE).upcoming()
    made = await customers.get_by_name(request.user.id).events() if request.user else []
    context = {"listings": listings, "made": made}
    return Template("booking/home.html", context=context)


@get("/booking/{event:str}", include_in_schema=False)
async def show_event(
    request: GuestRequest,
    event_slug: Slug,
    events: Events,
    sections: Sections,
    section: SectionNumber = 0,
) -> Template:
    """Show an event, or ask who is there first."""
    if request.user is None:
        return ask_name(request)
    context = await event_page(request, event_slug, events, sections, section)
    return Template("booking/event.html", context=context)


async def event_page(
    request: Request[Any, Any, Any],
    event_slug: str,
    events: DurableObjectNamespace[Event],
    sections: DurableObjectNamespace[Section],
    section: int,
) -> dict[str, Any]:
    """Return what an event's page shows to whoever asks."""
    scene = await events.get_by_name(event_slug).scene(person(request))
    context = views.event(scene, request.user)
    if scene.house.sections:
        number = min(section, len(scene.house.sections) - 1)
        part = await sections.get_by_name(f"{event_slug}/{number}").scene()
        context |= views.section(scene.house, number, *part)
    return context


@get("/booking/{event:str}/shared/{hold:str}", include_in_schema=False)
async def show_shared(
    request: GuestRequest, event_slug: Slug, hold_ref: Ref, events: Events, share: Share = ""
) -> Template:
    """Show seats that somebody shares, to be taken over."""
    if request.user is None:
        return ask_name(request)
    sale = await events.get_by_name(event_slug).shared(hold_ref, share)
    return Template("booking/shared.html", context=views.shared(sale, share, request.user))


@get("/booking/{event:str}/queue", include_in_schema=False)
async def show_queue(
    request: GuestRequest, event_slug: Slug, events: Events, queues: Queues
) -> Template:
    """Show the waiting room. The page asks again by itself."""
    if request.user is None:
        return ask_name(request)
    house, _ = await events.get_by_name(event_slug).plan()
    place = await queues.get_by_name(event_slug).join(request.user.id)
    context = {"house": house, "place": place}
    return Template("booking/queue.html", context=context)


@get("/booking/orders", include_in_schema=False)
async def show_orders(request: GuestRequest, customers: Customers) -> Template:
    """Show everything that somebody has bought."""
    if request.user is None:
        return ask_name(request)
    orders = await customers.get_by_name(request.user.id).orders()
    return Template("booking/orders.html", context={"orders": orders})


@get("/booking/orders/{order:str}", include_in_schema=False)
async def show_order(request: GuestRequest, order_ref: Ref, orders: Orders) -> Template:
    """Show an order: the receipt, and how it has come about."""
    if request.user is None:
        return ask_name(request)
    order = await orders.get_by_name(str(order_ref)).show(person(request))
    return Template("booking/order.html", context=views.order(order))


@get("/booking/orders/{order:str}/calendar", guards=[needs_guest], include_in_schema=False)
async def show_calendar(request: NamedRequest, order_ref: Ref, orders: Orders) -> Response[str]:
    """Return an order as a file for calendars."""
    order = await orders.get_by_name(str(order_ref)).show(person(request))
    sale = order.sale
    text = calendar.entry(sale.id, sale.title, sale.seats, sale.starts_at, sale.paid_at)
    return _file(text, f"{sale.event}.ics", "text/calendar")


@get("/booking/{event:str}/admin", include_in_schema=False)
async def show_books(request: GuestRequest, event_slug: Slug, events: Events) -> Template:
    """Show an event to whoever organises it."""
    if request.user is None:
        return ask_name(request)
    books = await events.get_by_name(event_slug).books(person(request))
    return Template("booking/admin.html", context=views.books(books))


@get("/booking/{event:str}/sales", guards=[needs_guest], include_in_schema=False)
async def export_sales(request: NamedRequest, event_slug: Slug, events: Events) -> Response[str]:
    """Return all that was sold, as a table."""
    event, text = events.get_by_name(event_slug), io.StringIO()
    table = csv.writer(text)
    table.writerow(("order", "name", "seats", "cents", "state", "paid at", "refund"))
    after = 0
    while orders := await event.orders(person(request), after):
        for sale in orders:
            table.writerow(views.line(sale))
        after = Reference.read(orders[-1].id).number
    return _file(text.getvalue(), f"{event_slug}.csv", "text/csv")


@websocket("/booking/{event:str}/ws")
async def event_socket(
    socket: GuestSocket,
    event: FromPath[str],
    events: Events,
    sections: Sections,
    section: MaybeSection = None,
) -> None:
    """Hand somebody's socket to the event, or to a section of it, with who they are."""
    try:
        event_slug, guest = check_slug(event), who(socket)
    except (Refusal, NotAuthorizedException) as refusal:  # nothing is woken for nobody
        await turn_away(socket, refusal)
        return
    whole = section is None
    to: Any = (
        events.get_by_name(event_slug) if whole else sections.get_by_name(f"{event_slug}/{section}")
    )
    headers = {"x-person-id": guest.id, "x-person-name": guest.name}
    await forward(socket, to=to, headers=headers, max_message_bytes=MAX_FRAME_BYTES)


def _file(text: str, name: str, media_type: str) -> Response[str]:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=media_type, headers=headers)


HANDLERS = [
    show_events,
    show_event,
    show_shared,
    show_queue,
    show_orders,
    show_order,
    show_calendar,
    show_books,
    export_sales,
    event_socket,
]
