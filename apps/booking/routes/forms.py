"""What the forms on an event's page do. Each works without JavaScript: it redirects, or shows the
page again with a sentence. With htmx it answers with what has changed.
"""

from typing import Any

from litestar import post
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.booking import views
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Declined, Refusal, Taken
from apps.booking.events.asked import Confirm, NewHold, Redeem, TakeOver, Wait
from apps.booking.routes.given import (
    Events,
    Orders,
    Ref,
    Sections,
    Slug,
    person,
)
from apps.booking.routes.pages import event_page
from apps.edge import NamedRequest, is_htmx, sentence_of
from apps.identity import needs_guest
from runtime import DurableObjectNamespace

FORM: dict[str, Any] = {"guards": [needs_guest], "status_code": 303, "include_in_schema": False}
HERE = "/booking/{event:str}"


@post(f"{HERE}/holds", **FORM)
async def hold_seats(
    request: NamedRequest, event_slug: Slug, events: Events, sections: Sections
) -> Response[Any]:
    """Hold the seats that were ticked, or the best ones together."""
    form = await request.form()
    best = form.get("best")
    try:
        if best:
            wanted = NewHold.model_validate_strings({"best": best})
        else:
            wanted = NewHold.model_validate({"seats": form.getall("seat", [])})
        names = tuple(wanted.seats or ())
        await events.get_by_name(event_slug).hold(person(request), names, wanted.best or 0)
    except (ValidationError, Refusal) as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/holds/{{hold:str}}/extend", **FORM)
async def extend_hold(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events, sections: Sections
) -> Response[Any]:
    """Get more time, once."""
    try:
        await events.get_by_name(event_slug).extend(person(request), hold_ref)
    except Refusal as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/holds/{{hold:str}}/release", **FORM)
async def release_hold(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events, sections: Sections
) -> Response[Any]:
    """Let seats go. A page that is left says so too, and hears no answer."""
    try:
        await events.get_by_name(event_slug).release(person(request), hold_ref)
    except Refusal as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/holds/{{hold:str}}/share", **FORM)
async def share_hold(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events, sections: Sections
) -> Response[Any]:
    """Make a link by which others may take over some of the seats."""
    try:
        await events.get_by_name(event_slug).share(person(request), hold_ref)
    except Refusal as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/holds/{{hold:str}}/voucher", **FORM)
async def use_voucher(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events, sections: Sections
) -> Response[Any]:
    """Pay less, with a voucher."""
    form = await request.form()
    try:
        wanted = Redeem.model_validate({"code": str(form.get("code", "")).strip().upper()})
        await events.get_by_name(event_slug).redeem(person(request), hold_ref, wanted.code)
    except (ValidationError, Refusal) as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/holds/{{hold:str}}/seats", **FORM)
async def take_over(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events
) -> Response[Any]:
    """Take over seats that somebody shares."""
    form = await request.form()
    event = events.get_by_name(event_slug)
    share = str(form.get("share", ""))
    try:
        wanted = TakeOver.model_validate({"share": share, "seats": form.getall("seat", [])})
        await event.take_over(person(request), hold_ref, wanted.share, tuple(wanted.seats))
    except (ValidationError, Refusal) as refusal:
        sale = await event.shared(hold_ref, share)
        context = views.shared(sale, share, request.user) | {"notice": sentence(refusal)}
        return Template("booking/shared.html", context=context, status_code=status(refusal))
    return Redirect(f"/booking/{event_slug}", status_code=303)


@post(f"{HERE}/holds/{{hold:str}}/confirm", **FORM)
async def confirm_hold(
    request: NamedRequest, event_slug: Slug, hold_ref: Ref, events: Events, sections: Sections
) -> Response[Any]:
    """Pay. The page's key makes that the same wish, however often it is sent."""
    form = await request.form()
    total = form.get("total")
    try:
        wanted = Confirm.model_validate_strings(
            {"card": form.get("card", Card.GOOD)} | ({"total": total} if total else {})
        )
        key = str(form.get("key", ""))[:255]
        event = events.get_by_name(event_slug)
        paid = await event.confirm(person(request), hold_ref, key, wanted.card, wanted.total)
        if paid.declined:
            raise Declined(paid.declined)
    except (ValidationError, Refusal) as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return _to(request, f"/booking/orders/{paid.sale.id}")


@post(f"{HERE}/wait", **FORM)
async def wait_for_seats(
    request: NamedRequest, event_slug: Slug, events: Events, sections: Sections
) -> Response[Any]:
    """Wait for seats that become free."""
    form = await request.form()
    try:
        wanted = Wait.model_validate_strings({"seats": form.get("seats") or "1"})
        await events.get_by_name(event_slug).wait(person(request), wanted.seats)
    except (ValidationError, Refusal) as refusal:
        return await shown(request, event_slug, events, sections, refusal)
    return await shown(request, event_slug, events, sections)


@post(f"{HERE}/wait/stop", **FORM)
async def stop_waiting(
    request: NamedRequest, event_slug: Slug, events: Events, sections: Sections
) -> Response[Any]:
    """Wait no longer."""
    await events.get_by_name(event_slug).stop_waiting(person(request))
    return await shown(request, event_slug, events, sections)


@post("/booking/orders/{order:str}/cancel", **FORM)
async def cancel_order(request: NamedRequest, order_ref: Ref, orders: Orders) -> Response[Any]:
    """Give seats back."""
    order = orders.get_by_name(str(order_ref))
    try:
        await order.cancel(person(request))
    except Refusal as refusal:
        seen = await order.show(person(request))
        context = views.order(seen) | {"notice": sentence(refusal)}
        return Template("booking/order.html", context=context, status_code=refusal.status)
    return Redirect(f"/booking/orders/{order_ref}", status_code=303)


async def shown(
    request: NamedRequest,
    event_slug: str,
    events: DurableObjectNamespace[Any],
    sections: DurableObjectNamespace[Any],
    refusal: Exception | None = None,
) -> Response[Any]:
    """Answer with how things are now, and with why not, if something wasn't possible."""
    if refusal is None and not is_htmx(request):
        return Redirect(f"/booking/{event_slug}", status_code=303)
    context = await event_page(request, event_slug, events, sections, 0)
    if refusal is not None:
        context["notice"] = sentence(refusal)
        context["alternatives"] = refusal.alternatives if isinstance(refusal, Taken) else ()
    template = "booking/_answer.html" if is_htmx(request) else "booking/event.html"
    code = 200 if refusal is None else status(refusal)
    return Template(template, context=context, status_code=code)


def sentence(refusal: Exception) -> str:
    """Return what to tell a person about what wasn't possible."""
    if isinstance(refusal, ValidationError):
        return sentence_of(refusal)
    return str(refusal)


def status(refusal: Exception) -> int:
    """Return what HTTP calls it."""
    return refusal.status if isinstance(refusal, Refusal) else 422


def _to(request: NamedRequest, path: str) -> Response[Any]:
    if is_htmx(request):
        return Response(None, status_code=200, headers={"HX-Redirect": path})
    return Redirect(path, status_code=303)


HANDLERS = [
    hold_seats,
    extend_hold,
    release_hold,
    share_hold,
    use_voucher,
    take_over,
    confirm_hold,
    wait_for_seats,
    stop_waiting,
    cancel_order,
]
