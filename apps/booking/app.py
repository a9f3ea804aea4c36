"""Booking, wired together."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.di import Provide

from apps.booking.objects.catalogue import Catalogue
from apps.booking.objects.customer import Customer
from apps.booking.objects.event import Event
from apps.booking.objects.order import Order
from apps.booking.objects.payments import Payments
from apps.booking.objects.queue import Queue
from apps.booking.objects.section import Section
from apps.booking.routes import api, forms, given, making, pages, problems, proof, running
from apps.web import App, create_site
from runtime import RuntimeConfig

HANDLERS = [
    handler for module in (api, making, pages, forms, running, proof) for handler in module.HANDLERS
]

APP = App(
    bindings={
        "events": Event,
        "sections": Section,
        "orders": Order,
        "customers": Customer,
        "payments": Payments,
        "catalogue": Catalogue,
        "queues": Queue,
    },
    handlers=[
        Router(
            "/",
            route_handlers=HANDLERS,
            dependencies={
                "event_slug": Provide(given.provide_slug),
                "hold_ref": Provide(given.provide_hold),
                "order_ref": Provide(given.provide_order),
            },
            exception_handlers=problems.EXCEPTION_HANDLERS,
        )
    ],
)


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return booking as an application of its own."""
    return create_site(config or RuntimeConfig(), APP)
