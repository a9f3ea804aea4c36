"""Refusals as HTTP has them: problem documents (RFC 9457), or a page for whoever accepts HTML."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.openapi import ResponseSpec
from litestar.response import Template
from pydantic import BaseModel

from apps.booking.domain.refusals import Declined, Refusal, Taken, TooSoon
from apps.problems import PROBLEM, PROBLEMS, problem


class TakenProblem(BaseModel):
    """Seats that somebody else has, and what there is instead."""

    status: int
    title: str
    detail: str
    alternatives: list[str] = []
    """Names of free seats nearby: as many as were asked for, if there are."""


_SPECS = {
    402: problem("The payment was declined; the seats are still held"),
    403: problem("It is somebody else's, or for organisers"),
    404: problem("There is no such thing"),
    409: problem("It isn't possible as things are", TakenProblem),
    410: problem("Its time is over"),
    429: problem("Others are before you; Retry-After says when to try again"),
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the description of answers with these statuses, beside those that all have."""
    return PROBLEMS | {status: _SPECS[status] for status in statuses}


def answer(request: Request[Any, Any, Any], refusal: Refusal) -> Response[Any]:
    """Return the answer that a refusal is."""
    status = refusal.status
    headers = {}
    if isinstance(refusal, TooSoon):
        headers["Retry-After"] = str(refusal.retry_after)
    if isinstance(refusal, Declined) and refusal.is_replayed:
        headers["Idempotent-Replayed"] = "true"
    told: dict[str, Any] = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": str(refusal),
    }
    if "text/html" in request.headers.get("accept", ""):
        return Template("error.html", context=told, status_code=status, headers=headers)
    if isinstance(refusal, Taken):
        told["alternatives"] = list(refusal.alternatives)
    return Response(told, status_code=status, headers=headers, media_type=PROBLEM)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {Refusal: answer}
