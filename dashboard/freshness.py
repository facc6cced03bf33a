"""How fresh what we show of a machine is, as the mark and the words of dashboard.md 4.1. Pure.

The page's `freshness.js` says the same while it ticks; one table of cases holds both to it.
"""

from __future__ import annotations

from typing import NamedTuple

from dashboard.reader import Reader
from dashboard.trouble import View, gone_expectedly


class Freshness(NamedTuple):
    """`mark` is the shape, `words` what stands beside it (for `live` only screen readers hear it)."""

    mark: str
    words: str
    quiet: bool = False


def freshness(view: View, r: Reader) -> Freshness:
    connection = view["connection"]
    if connection == "live":
        return Freshness("live", r.t("connection.live"), quiet=True)
    if connection == "late":
        return Freshness("late", r.t("late.by", age=r.age(view["last_seen_at"])))
    if connection == "never":
        return Freshness("never", r.t("connection.never"))
    if gone_expectedly(view, r.now):
        return Freshness("offline", r.t(f"away.{view['connection_reason']}"))
    return Freshness("offline", r.t("offline.for", age=r.age(view["connection_since"] or view["last_seen_at"])))
