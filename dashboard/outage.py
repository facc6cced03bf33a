"""Decides which offline machines went together: many at once are one line, and of one site that site's. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dashboard.trouble import RESTING, MachineTrouble, View, gone_expectedly

MANY = 3
TOGETHER_MS = 60_000
"""Between one and the next."""


class Gone(NamedTuple):
    """A machine that nobody expected to go; `since` is its last contact."""

    since: int
    id: int
    site: str


@dataclass(frozen=True, slots=True)
class Outage:
    """`site` "" when they are of several; `total`: machines there."""

    ids: tuple[int, ...]
    total: int
    site: str
    since: int


def gone_of(view: View, now: int) -> Gone | None:
    """None for a machine that is there, out of service, or reported that it goes."""
    if view["connection"] != "offline" or view["effective_status"] in RESTING or gone_expectedly(view, now):
        return None
    since = view["connection_since"] or view["last_seen_at"]
    if since is None or view["connection_reason"] in ("shutdown", "quarantined"):
        return None
    return Gone(since, view["id"], view["location_description"] or "")


def outages(gone: Iterable[Gone], sites: Mapping[str, int]) -> list[Outage]:
    """`sites`: how many machines each has. The greatest first."""
    in_order = sorted(gone)
    ends = [at for at, (one, other) in enumerate(pairwise(in_order), 1) if other.since - one.since > TOGETHER_MS]
    groups = [in_order[start:end] for start, end in pairwise([0, *ends, len(in_order)])]
    found = [_outage(group, sites) for group in groups if len(group) >= MANY]
    return sorted(found, key=lambda one: (-len(one.ids), one.since))


def _outage(group: list[Gone], sites: Mapping[str, int]) -> Outage:
    named = {one.site for one in group}
    site = group[0].site if len(named) == 1 else ""
    total = sites[site] if site else sum(sites.values())
    return Outage(tuple(one.id for one in group), total, site, group[0].since)


def at_once(found: Iterable[Outage], known: Container[int]) -> list[MachineTrouble]:
    """Those of an outage that would not yet be trouble by themselves."""
    return [
        MachineTrouble(rvm_id, "offline", None, one.since) for one in found for rvm_id in one.ids if rvm_id not in known
    ]
