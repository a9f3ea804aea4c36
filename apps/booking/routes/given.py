"""What handlers are given: who asks, and what a path names."""

from typing import Annotated, Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from apps.booking.domain.hold import Reference
from apps.booking.domain.house import Person, check_slug
from apps.booking.domain.refusals import NotFound, Unfit
from apps.booking.objects.catalogue import Catalogue
from apps.booking.objects.customer import Customer
from apps.booking.objects.event import Event
from apps.booking.objects.order import Order
from apps.booking.objects.queue import Queue
from apps.booking.objects.section import Section
from apps.identity import who
from runtime import DurableObjectNamespace

# Whoever names a parameter so gets the namespace bound by that name, from the plugin.
Events = NamedDependency[DurableObjectNamespace[Event]]
Sections = NamedDependency[DurableObjectNamespace[Section]]
Orders = NamedDependency[DurableObjectNamespace[Order]]
Customers = NamedDependency[DurableObjectNamespace[Customer]]
Catalogues = NamedDependency[DurableObjectNamespace[Catalogue]]
Queues = NamedDependency[DurableObjectNamespace[Queue]]

Slug = NamedDependency[str]
Ref = NamedDependency[Reference]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Chosen by you. The same key again gets the same answer, for a day at least.",
    ),
]


async def provide_slug(event: FromPath[str]) -> str:
    """Dependency: the event that a path names.

    Raises:
        NotFound: If none can be called so.
    """
    try:
        return check_slug(event)
    except Unfit as refusal:
        raise NotFound("there is no such event") from refusal


async def provide_hold(hold: FromPath[str]) -> Reference:
    """Dependency: the hold that a path names."""
    return Reference.read(hold)


async def provide_order(order: FromPath[str]) -> Reference:
    """Dependency: the order that a path names."""
    return Reference.read(order)


def person(request: Request[Any, Any, Any]) -> Person:
    """Return who asks.

    Raises:
        NotAuthorizedException: If they have no name.
    """
    guest = who(request)
    return Person(guest.id, guest.name)
