"""What a rule forbids, as HTTP has it: a problem document (RFC 9457), or a page."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.response import Response, Template
from pydantic import BaseModel

from apps.edge import is_htmx
from apps.game import views
from apps.game.domain.refusals import Refused
from apps.game.domain.view import View
from apps.problems import PROBLEM, PROBLEMS, problem

_STATUS: Final = {"not-open": 404, "illegal-move": 422}  # all else is 409: not now, or not you
_HEADERS: Final = {"too-quick": {"retry-after": "1"}}


class RefusedMove(BaseModel):
    """Why something can't be done in a match, by its rules."""

    status: int
    title: str
    detail: str
    """A sentence for a person."""
    rule: str
    """The rule that forbids it, in one word."""
    match: View | None
    """The match as it stands, for whoever may see it."""


REFUSALS: Final = PROBLEMS | {
    404: problem("There is no such match"),
    409: problem("A rule forbids it now; nothing has changed", RefusedMove),
}
TOO_QUICK: Final = {429: problem("That was too quick; Retry-After says when to try again")}


def refuse(request: Request[Any, Any, Any], refusal: Refused) -> Response[Any]:
    """Answer what a rule forbids: with the rule, and with the match as it stands."""
    status = _STATUS.get(refusal.rule, 409)
    told = {"status": status, "detail": str(refusal), "rule": refusal.rule}
    if request.url.path.startswith("/api/"):
        told |= {"title": "Conflict" if status == 409 else "Refused", "match": refusal.view}
        headers = _HEADERS.get(refusal.rule)
        return Response(told, status_code=status, headers=headers, media_type=PROBLEM)
    if refusal.view is None:
        context = told | {"title": "Not Found" if status == 404 else "Refused"}
        return Template("error.html", context=context, status_code=status)
    context = views.match(refusal.view, request.user, notice=str(refusal))
    template = "game/_refused.html" if is_htmx(request) else "game/match.html"
    return Template(template, context=context, status_code=status)


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Any]] = {Refused: refuse}
