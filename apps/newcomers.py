"""How many new guests may come from one address.

What a guest may do is limited, and to become another one costs nothing. So the address counts too.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

BURST: Final = 100  # guests at once: a lecture hall behind one address
PER_SECOND: Final = 0.2  # guests after that
MOST_ADDRESSES: Final = 10_000  # those are forgotten from which nobody has come for longest
_HOUSEHOLD_BITS: Final = 64  # of an IPv6 address: whoever has one has all that begin like it


class Newcomers:
    """A bucket of tokens for each address, in memory: a restart makes all of them full.

    Whoever comes from this machine isn't counted. They could sign any token themselves, as its
    secret is in the data folder; and a proxy here that doesn't say for whom it asks would have
    everybody share one bucket. Nor is anybody whose address isn't known.
    """

    def __init__(self) -> None:
        self._full_at = OrderedDict[str, float]()

    def take(self, address: str, now: float) -> float:
        """Count a new guest.

        Args:
            address: From which they come, "" if that isn't known.
            now: In seconds, by a clock that never goes back.

        Returns:
            0 if they may come. Else after how many seconds they may; nothing is counted then.
        """
        household = _household(address)
        if household is None:
            return 0
        full_at = max(now, self._full_at.get(household, now)) + 1 / PER_SECOND
        wait = full_at - now - BURST / PER_SECOND
        if wait > 0:
            return wait
        self._full_at[household] = full_at
        self._full_at.move_to_end(household)
        if len(self._full_at) > MOST_ADDRESSES:
            self._full_at.popitem(last=False)
        return 0


def _household(address: str) -> str | None:
    """Return what all addresses of one connection have in common; None if it isn't counted."""
    try:
        parsed = ip_address(address)
    except ValueError:  # who comes by a Unix socket has none, for instance
        return None
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return None
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _HOUSEHOLD_BITS), strict=False))
    return str(parsed)
