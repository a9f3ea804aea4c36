"""What the API's errors look like, for its description (RFC 9457)."""

from __future__ import annotations

from typing import Final

from litestar.openapi import ResponseSpec
from pydantic import BaseModel


class Problem(BaseModel):
    """Why a request was refused."""

    status: int
    title: str
    detail: str
    """A sentence for a person."""


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description=description,
        media_type="application/problem+json",
    )


UNREADABLE: Final = {422: _problem("Something in the request isn't acceptable")}
PROBLEMS: Final = UNREADABLE | {
    401: _problem("There is no token, or it isn't valid"),
    503: _problem("Too much is going on; Retry-After says when to try again"),
}
