"""Computes what a History page shows of a machine's readings: gaps and their reasons, summaries, rows of tables,
capacity as buckets. Pure. Instants are epoch milliseconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, takewhile
from statistics import median
from typing import Any, Final, NamedTuple

CARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu_usage": ("cpu_usage",), "gpu_usage": ("gpu_usage",), "memory_usage": ("memory_usage",),
    "disk_usage": ("disk_usage",), "temperature": ("temperature",), "capacity": ("capacity",),
    "network": ("network_rx_bytes_s", "network_tx_bytes_s"),
}  # fmt: skip
READ: Final = tuple(metric for metrics in CARDS.values() for metric in metrics if metric != "capacity")
"""Of the samples; capacity is declared with the status."""
BRIEF_MS: Final = 15_000
"""No machine sends so seldom while it is watched."""
MOST_MARKS: Final = 40
AWAY: Final = ("offline", "never")


class Point(NamedTuple):
    """A bucket: of so many values (`number`) from `at` on."""

    at: int
    mean: float
    low: float
    high: float
    number: int


class Away(NamedTuple):
    """`code`: offline, never, reboot, update, shutdown."""

    start: int
    end: int
    code: str


class Gap(NamedTuple):
    """`code`: as of Away, `before` (the machine was not added yet), `unmeasured` (other readings came), or ""."""

    start: int
    end: int
    code: str


class ConnectionMove(NamedTuple):
    """A change of a machine's connection. `since`: when it was gone, which is noticed later."""

    at: int
    connection: str
    was: str
    since: int | None
    reason: str | None


class Declared(NamedTuple):
    """`status`: what counts, a special one before the other."""

    since: int
    status: str
    capacity: int


class Mark(NamedTuple):
    """`code`: restart, or a status."""

    at: int
    code: str


class MetricSummary(NamedTuple):
    newest: float
    newest_at: int
    mean: float
    high: float
    high_at: int


Points = Mapping[str, Sequence[Point]]
"""By metric, oldest first."""


def away_spans(
    moves: Sequence[ConnectionMove], start: int, end: int, added_at: int, now: tuple[str, int | None]
) -> list[Away]:
    """`moves` oldest first, the last one before `start` among them; `now`: the connection and since when."""
    connection, since = now
    if not moves:
        return [Away(max(since or added_at, start), end, connection)] if connection in AWAY else []
    found: list[Away] = []
    gone, code = (added_at, "never") if moves[0].was == "never" else (None, "")
    for move in moves:
        if move.connection in AWAY and gone is None:
            gone = move.at if move.since is None else min(move.at, move.since)
            code = move.reason if move.reason in ("reboot", "update", "shutdown") else move.connection
        elif move.connection not in AWAY and gone is not None:
            found.append(Away(gone, move.at, code))
            gone = None
    if gone is not None:
        found.append(Away(gone, end, code))
    return [Away(max(a, start), min(b, end), code) for a, b, code in found if a < end and b > start]


def step_of(times: Sequence[int], width: int, interval: int) -> int:
    """How far apart samples come: as the settings say, or as they came where these were others."""
    steps = [later - earlier for earlier, later in pairwise(times)]
    return int(max(width, interval, median(steps) if len(steps) > 4 else 0))


def gaps(
    times: Sequence[int], start: int, end: int, width: int, step: int, away: Sequence[Away], added_at: int
) -> list[Gap]:
    """`times` of buckets with values; `end`: at most now."""
    most = step + step // 2 - width
    edges = [start, *(at for time in times for at in (time, time + width)), end]
    found: list[Gap] = []
    ends = [gone.end for gone in away]
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        if right - left <= min(most, BRIEF_MS):
            continue
        reason = _reason(left, right, away[bisect_right(ends, left) :])
        if right - left > most or reason:
            found.append(Gap(left, right, reason or ("before" if left == start < added_at else "")))
    return found


def _reason(left: int, right: int, away: Iterable[Away]) -> str:
    """`away`: oldest first, from the first that ends after `left`."""
    within = takewhile(lambda gone: gone.start < right, away)
    overlaps = [(min(right, gone.end) - max(left, gone.start), gone.code) for gone in within]
    longest, code = max(overlaps, default=(0, ""))
    return code if longest > 0 else ""


def unmeasured(own: Iterable[Gap], times: Sequence[int]) -> list[Gap]:
    """Gaps of one reading; where others came meanwhile nobody was away. `times`: of any reading."""
    named = []
    for gap in own:
        place = bisect_right(times, gap.start)
        others = place < len(times) and times[place] < gap.end
        named.append(Gap(gap.start, gap.end, "unmeasured") if others and not gap.code else gap)
    return named


def capacity_points(
    declared: Sequence[Declared], away: Sequence[Away], first: int, end: int, width: int
) -> list[Point]:
    """Of each bucket the mean by time, while the machine was there. `end`: at most now."""
    pieces: list[tuple[int, int, int]] = []
    until, ends = [*(one.since for one in declared[1:]), end], [gone.end for gone in away]
    for one, stop in zip(declared, until, strict=True):
        start = max(one.since, first)
        there = _present(start, min(stop, end), away[bisect_right(ends, start) :])
        pieces += [(a, b, one.capacity) for a, b in there]
    buckets: dict[int, list[tuple[int, int]]] = {}
    for a, b, value in pieces:
        for place in range((a - first) // width, (b - 1 - first) // width + 1):
            at = first + place * width
            buckets.setdefault(at, []).append((min(b, at + width) - max(a, at), value))
    return [_weighed(at, parts) for at, parts in sorted(buckets.items())]


def _present(start: int, end: int, away: Iterable[Away]) -> Iterable[tuple[int, int]]:
    """`away`: oldest first, from the first that ends after `start`."""
    for gone in takewhile(lambda gone: gone.start < end, away):
        if gone.start > start:
            yield start, gone.start
        start = max(start, gone.end)
    if start < end:
        yield start, end


def _weighed(at: int, parts: Sequence[tuple[int, int]]) -> Point:
    whole = sum(lasted for lasted, _ in parts)
    values = [value for _, value in parts]
    return Point(at, sum(lasted * value for lasted, value in parts) / whole, min(values), max(values), len(parts))


def summary(
    points: Sequence[Point], newest: tuple[int, float] | None, peak: int | None, start: int
) -> MetricSummary | None:
    """`newest`: the last value itself and `peak`: when the highest was, where these are known better than by bucket."""
    if not points:
        return None
    at, value = newest or (points[-1].at, points[-1].mean)
    top = max(points, key=lambda point: point.high)
    weight = sum(point.number for point in points)
    mean = sum(point.mean * point.number for point in points) / weight
    return MetricSummary(value, at, mean, top.high, max(top.at if peak is None else peak, start))


def rows(points: Sequence[Point], first: int, width: int) -> list[Point]:
    """Coarser buckets for people to read, newest first."""
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault((point.at - first) // width, []).append(point)
    found = []
    for group in groups.values():
        count = sum(point.number for point in group)
        mean = sum(point.mean * point.number for point in group) / count
        low, high = min(point.low for point in group), max(point.high for point in group)
        found.append(Point(group[0].at, mean, low, high, count))
    return found[::-1]


def columns(metrics: Sequence[str], points: Points, gaps_of: Iterable[Gap], first: int, width: int) -> dict[str, Any]:
    """For a chart: places of buckets, then mean, lowest and highest of each metric; nothing in a gap, so that no line
    crosses it. Without lowest and highest where they are the mean."""
    by_place = [{(point.at - first) // width: point for point in points.get(metric, ())} for metric in metrics]
    broken = {(gap.start - first) // width for gap in gaps_of}
    places = sorted({place for known in by_place for place in known} | broken)
    digits = 0 if metrics[0].startswith("network") else 1
    drawn: dict[str, Any] = {"first": first, "width": width, "at": places}
    for metric, known in zip(metrics, by_place, strict=True):
        found = [known.get(place) for place in places]
        drawn[metric] = [None if point is None else round(point.mean, digits) for point in found]
        if any(point.low != point.high for point in known.values()):
            drawn[f"{metric}.low"] = [None if point is None else round(point.low, digits) for point in found]
            drawn[f"{metric}.high"] = [None if point is None else round(point.high, digits) for point in found]
    return drawn


def statuses(declared: Sequence[Declared], start: int, end: int, added_at: int) -> list[tuple[int, int, str]]:
    """Spans of equal status between two instants, of the time that the machine is known."""
    spans: list[tuple[int, int, str]] = []
    until = [*(one.since for one in declared[1:]), end]
    for one, stop in zip(declared, until, strict=True):
        left, right = max(one.since, start, added_at), min(stop, end)
        if right <= left:
            continue
        if spans and spans[-1][2] == one.status:
            spans[-1] = (spans[-1][0], right, one.status)
        else:
            spans.append((left, right, one.status))
    return spans


def marks(spans: Sequence[tuple[int, int, str]], restarts: Sequence[int]) -> list[Mark]:
    """Restarts and changes of status, newest first, as many as somebody can tell apart: restarts before others."""
    restarted = [Mark(at, "restart") for at in restarts]
    changed = [Mark(start, status) for start, _, status in spans[1:]]
    kept = [*sorted(restarted, reverse=True), *sorted(changed, reverse=True)][:MOST_MARKS]
    return sorted(kept, reverse=True)


def restarts(introduced: Sequence[tuple[int, str | None]], start: int) -> list[int]:
    """When it came with another boot than before. `introduced`: instant and boot, oldest first, the last one before
    `start` among them."""
    found = []
    for (_, before), (at, boot) in pairwise(introduced):
        if boot is not None and before is not None and boot != before and at >= start:
            found.append(at)
    return found


def fitted(points: Points, metrics: Sequence[str], limits: Sequence[float]) -> tuple[float, float] | None:
    """The axis that values and limits need, at multiples of five; None without any."""
    seen = [value for metric in metrics for point in points.get(metric, ()) for value in (point.low, point.high)]
    if not seen:
        return None
    seen += limits
    return (min(seen) - 1) // 5 * 5, -((-max(seen) - 1) // 5) * 5
