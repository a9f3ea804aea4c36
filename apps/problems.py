"""What the API's errors look like, for its description (RFC 9457)."""

from __future__ import annotations

from typing import Final

from litestar.openapi import ResponseSpec
from pydantic import BaseModel

PROBLEM: Final = "application/problem+json"


class Problem(BaseModel):
    """Why a request was refused."""

    status: int
    title: str
    detail: str
    """A sentence for a person."""


def problem(description: str, model: type[BaseModel] = Problem) -> ResponseSpec:
    """Return the description of an answer that says why not: a `Problem`, or one that says more."""
    return ResponseSpec(model, generate_examples=False, description=description, media_type=PROBLEM)


UNREADABLE: Final = {422: problem("Something in the request isn't acceptable")}
PROBLEMS: Final = UNREADABLE | {
    401: problem("There is no token, or it isn't valid"),
    503: problem("Too much is going on; Retry-After says when to try again"),
}
