"""Booking's objects. One noun, one file; what they have in common with each other is `env`."""

from apps.booking.domain import refusals
from runtime import errors

for _refusal in refusals.ALL:
    errors.register(_refusal)  # so that callers get them as they are
