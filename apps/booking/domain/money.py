"""Amounts: counted in cents, and read in words."""

from __future__ import annotations


def money(cents: int) -> str:
    """Return an amount as people read it."""
    return f"{cents // 100:,}.{cents % 100:02}"
