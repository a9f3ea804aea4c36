"""What the handlers of all apps share."""

from __future__ import annotations

from apps.edge import too_quick


def test_nobody_is_told_to_try_again_before_they_may() -> None:
    refusal = too_quick(0.2)

    assert refusal.status_code == 429
    assert refusal.headers == {"Retry-After": "1"}
    assert refusal.detail == "that was too quick; try again in 1 s"
