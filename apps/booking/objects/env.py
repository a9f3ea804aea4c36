"""What booking's objects can reach: each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime import DurableObjectNamespace

if TYPE_CHECKING:
    from apps.booking.objects.catalogue import Catalogue
    from apps.booking.objects.customer import Customer
    from apps.booking.objects.event import Event
    from apps.booking.objects.order import Order
    from apps.booking.objects.payments import Payments
    from apps.booking.objects.queue import Queue
    from apps.booking.objects.section import Section


class Env(Protocol):
    """The namespaces, by the names of their bindings."""

    @property
    def events(self) -> DurableObjectNamespace[Event]:
        """By the event's slug."""

    @property
    def sections(self) -> DurableObjectNamespace[Section]:
        """By the event's slug, a slash, and the section's number."""

    @property
    def orders(self) -> DurableObjectNamespace[Order]:
        """By the order's id."""

    @property
    def customers(self) -> DurableObjectNamespace[Customer]:
        """By the person's id."""

    @property
    def payments(self) -> DurableObjectNamespace[Payments]:
        """By the event's slug."""

    @property
    def catalogue(self) -> DurableObjectNamespace[Catalogue]:
        """There is one, `THE_ONE`."""

    @property
    def queues(self) -> DurableObjectNamespace[Queue]:
        """By the event's slug."""


THE_ONE = "all"
