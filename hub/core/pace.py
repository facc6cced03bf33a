"""How much a machine may make the hub write of its own accord: a burst after it was away, and so much a minute.

What it says of itself (hello, status, settings, zone) becomes lines of a record that nobody may shorten. Beyond this
its link is read more slowly, and by REST it is asked to come back later; nothing it says is lost.
"""

from __future__ import annotations

from typing import Final

from hub.core.token_bucket import TokenBuckets

AT_ONCE: Final = 300
PER_MINUTE: Final = 60
MOST_REMEMBERED: Final = 100_000
"""More machines than a hub has: none gets its burst back by being forgotten."""


def rate_limit() -> TokenBuckets[int]:
    """What is left to each machine, by its id."""
    return TokenBuckets(PER_MINUTE / 60, AT_ONCE, MOST_REMEMBERED)
