"""What organisers' forms do."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.booking import views
from apps.booking.domain.refusals import Refusal
from apps.booking.events.asked import ChangeEvent, NewEvent, NewTier, NewVoucher
from apps.booking.routes.forms import FORM, HERE, sentence, status
from apps.booking.routes.given import Customers, Events, Slug, person
from apps.booking.routes.making import changes_of, new_house, open_event
from apps.edge import GuestRequest, NamedRequest
from apps.welcome import ask_name

MAX_DIGITS = 9  # of an amount, before the point


@get("/booking/new", include_in_schema=False)
async def ask_for_event(request: GuestRequest) -> Template:
    """Show the form that makes an event."""
    if request.user is None:
        return ask_name(request)
    context = {"form": {}, "notice": ""}
    return Template("booking/new.html", context=context)


@post("/booking", **FORM)
async def make_event(request: NamedRequest, events: Events, customers: Customers) -> Response[Any]:
    """Make an event."""
    form = await _form(request)
    try:
        wanted = NewEvent.model_validate_strings(_typed(form))
        house = new_house(wanted, person(request))
        await open_event(house, events, customers)
    except (ValidationError, Refusal) as refusal:
        context = {"form": form, "notice": sentence(refusal)}
        return Template("booking/new.html", context=context, status_code=status(refusal))
    return Redirect(f"/booking/{house.slug}", status_code=303)


@post(f"{HERE}/admin", **FORM)
async def change_event(request: NamedRequest, event_slug: Slug, events: Events) -> Response[Any]:
    """Change an event; what the form doesn't say stays."""
    event = events.get_by_name(event_slug)
    try:
        wanted = ChangeEvent.model_validate_strings(_typed(await _form(request)))
        await event.change(person(request), changes_of(wanted))
    except (ValidationError, Refusal) as refusal:
        return await _books(request, event, refusal)
    return Redirect(f"/booking/{event_slug}/admin", status_code=303)


@post(f"{HERE}/admin/tiers", **FORM)
async def change_prices(request: NamedRequest, event_slug: Slug, events: Events) -> Response[Any]:
    """Change prices: each row of the form is a tier, and an empty name is none."""
    form, event = await request.form(), events.get_by_name(event_slug)
    columns = (form.getall(name, []) for name in ("name", "first_row", "last_row", "price"))
    tiers = [
        {"name": name, "first_row": first, "last_row": last, "price": _cents(str(price))}
        for name, first, last, price in zip(*columns, strict=False)
        if name
    ]
    try:
        wanted = ChangeEvent(tiers=list(map(NewTier.model_validate_strings, tiers)))
        await event.change(person(request), changes_of(wanted))
    except (ValidationError, Refusal) as refusal:
        return await _books(request, event, refusal)
    return Redirect(f"/booking/{event_slug}/admin", status_code=303)


@post(f"{HERE}/admin/vouchers", **FORM)
async def add_voucher(request: NamedRequest, event_slug: Slug, events: Events) -> Response[Any]:
    """Make a voucher."""
    event, form = events.get_by_name(event_slug), await _form(request)
    try:
        wanted = NewVoucher.model_validate_strings(form | {"code": form.get("code", "").upper()})
        await event.add_voucher(person(request), wanted.code, wanted.percent, wanted.uses)
    except (ValidationError, Refusal) as refusal:
        return await _books(request, event, refusal)
    return Redirect(f"/booking/{event_slug}/admin", status_code=303)


@post(f"{HERE}/admin/holds/{{number:int}}/release", **FORM)
async def let_go(
    request: NamedRequest, event_slug: Slug, number: FromPath[int], events: Events
) -> Response[Any]:
    """Release what somebody holds."""
    event = events.get_by_name(event_slug)
    try:
        await event.let_go(person(request), number)
    except Refusal as refusal:
        return await _books(request, event, refusal)
    return Redirect(f"/booking/{event_slug}/admin", status_code=303)


async def _books(request: NamedRequest, event: Any, refusal: Exception) -> Template:
    books = await event.books(person(request))
    context = views.books(books) | {"notice": sentence(refusal)}
    return Template("booking/admin.html", context=context, status_code=status(refusal))


async def _form(request: NamedRequest) -> dict[str, str]:
    form = await request.form()
    return {name: str(value).strip() for name, value in form.items() if str(value).strip()}


def _typed(form: dict[str, str]) -> dict[str, str]:
    """Return a form as the API would have it: prices in cents, times with a zone."""
    typed = dict(form)
    if "price" in form:
        typed["price"] = _cents(form["price"])
    if "starts_at" in form and "+" not in form["starts_at"] and "Z" not in form["starts_at"]:
        typed["starts_at"] = f"{form['starts_at']}Z"
    return typed


def _cents(text: str) -> str:
    """Return an amount such as ``12.50`` in cents, or something that is refused as no number."""
    whole, _, rest = text.strip().replace(",", ".").partition(".")
    is_short = len(whole) <= MAX_DIGITS and len(rest) <= 2
    is_amount = is_short and whole.isdecimal() and (rest == "" or rest.isdecimal())
    return str(int(whole) * 100 + int(rest.ljust(2, "0") or 0)) if is_amount else text


HANDLERS = [ask_for_event, make_event, change_event, change_prices, add_voucher, let_go]
