"""Computes the Overview of a machine: tiles, causes of its state, last 24 hours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboard import sparkline
from dashboard.trouble import (
    EXPECTED_BACK_MS,
    View,
    backup_causes,
    backup_since,
    clock_cause,
    gone_expectedly,
    health_causes,
    is_connected,
    is_full_at_rest,
    is_nearly_full,
    is_worn,
    moments,
    noticed_at,
    other_moment,
    quarantined,
    settings_causes,
)

TILES = ("capacity", "cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature")
DAY_MS = 86_400_000
METER_TOP = {"temperature": 110}

Past = Mapping[str, Sequence[tuple[int, float, float, float]]]
"""By metric the lowest, the highest and the newest value of each step, by its beginning (epoch ms), oldest first."""


@dataclass(frozen=True, slots=True)
class Tile:
    """`reason`: why `value` is None; `low`, `high`: of the last four hours, measured from `since` on."""

    metric: str
    value: float | None
    path: str
    low: float | None
    high: float | None
    limit: float | None
    over: bool
    reason: str | None
    since: int | None = None

    @property
    def share(self) -> float:
        top = METER_TOP.get(self.metric, 100)
        return min(100.0, max(0.0, (self.value or 0) * 100 / top))

    @property
    def ticks(self) -> tuple[float, ...]:
        if self.metric == "capacity":
            return (80, 95)
        return () if self.limit is None else (self.limit * 100 / METER_TOP.get(self.metric, 100),)


def tiles(view: View, past: Past, limits: Mapping[str, float], now: int, gap: int = sparkline.GAP_STEPS) -> list[Tile]:
    """`gap`: so many steps apart two values are joined."""
    over = {reason["code"] for reason in view["health_reasons"] or ()}
    return [_tile(view, metric, past, limits.get(metric), metric in over, now, gap) for metric in TILES]


def _tile(view: View, metric: str, past: Past, limit: float | None, over: bool, now: int, gap: int) -> Tile:
    if metric == "capacity":
        if view["connection"] == "never":  # the row's 0 was never measured
            return Tile(metric, None, "", None, None, None, False, "never")
        value = view["capacity"]
        return Tile(metric, value, "", None, None, None, value >= 95, None)
    readings = view["readings"] or {}
    points = past.get(metric, ())
    value = readings.get(metric)
    reason = None
    if value is None:
        reason = (readings.get("reasons") or {}).get(metric) or ("unknown" if view["readings"] else "never")
    top = METER_TOP.get(metric, 100)
    return Tile(
        metric=metric,
        value=value,
        path=sparkline.path([(at, newest) for at, _, _, newest in points], now, 0, top, gap),
        low=min((low for _, low, _, _ in points), default=None),
        high=max((high for _, _, high, _ in points), default=None),
        limit=limit,
        over=over and view["connection"] in ("live", "late"),
        reason=reason,
        since=_since(points, view["created_at"], now),
    )


def _since(points: Sequence[tuple[int, float, float, float]], added: int, now: int) -> int | None:
    """All four hours when the first step is about there; no step began before its machine."""
    if not points:
        return None
    first, begin, step = points[0][0], now - sparkline.STEPS * sparkline.STEP_MS, sparkline.STEP_MS
    if first <= begin + 2 * step:
        return begin
    return added if 0 < added - first < step else first


@dataclass(frozen=True, slots=True)
class Why:
    """`code`: of cause and next step in the playbook (`why.<code>.…`)."""

    code: str
    since: int | None
    value: float | None = None


def whys(view: View, now: int) -> list[Why]:
    found: list[Why] = []
    status, connection = view["effective_status"], view["connection"]
    if quarantined(view, now):
        found.append(Why("quarantined", view["connection_since"]))
    elif connection == "never":
        found.append(Why("never", view["created_at"]))
    elif connection == "offline":
        reason = view["connection_reason"]
        code = reason if reason in ("reboot", "update", "shutdown") else "offline"
        if code in ("reboot", "update") and not gone_expectedly(view, now):
            code = "not_back"
        found.append(Why(code, view["connection_since"] or view["last_seen_at"]))
    elif connection == "late":
        found.append(Why("late", view["last_seen_at"]))
    if status != "active" and connection != "never":
        found.append(Why(status, view["status_since"]))
    if status != "error" and view["error_since"] is not None:
        found.append(Why("error", view["error_since"]))
    if is_full_at_rest(view):
        found.append(Why("full", noticed_at(view, "full")))
    found += [Why(one.cause, one.since, one.value) for one in (*health_causes(view), *settings_causes(view, now))]
    if is_connected(view) and is_nearly_full(view):
        found.append(Why("nearly_full", noticed_at(view, "nearly_full"), view["capacity"]))
    if is_worn(view):
        found.append(Why("worn", noticed_at(view, "worn"), view["disk_worn"]))
    clock = clock_cause(view)
    if clock is not None:
        found.append(Why(clock, noticed_at(view, "clock"), view["clock_offset_s"]))
    if connection == "never":
        return found
    found += [Why(cause, backup_since(view, cause, at), at) for cause, at in backup_causes(view, now)]
    return found


def other_at(view: View, now: int) -> int | None:
    """When time alone changes the causes."""
    back = (view["connection_since"] or now) + EXPECTED_BACK_MS + 1
    return other_moment((back, *moments(view)), now, lambda at: [why.code for why in whys(view, at)])


@dataclass(frozen=True, slots=True)
class Span:
    """In percent of the band: `status`, or `away` over it while offline."""

    kind: str
    left: float
    width: float


def band(
    statuses: Iterable[tuple[int, str]], away: Iterable[tuple[int, int]], now: int, known_since: int
) -> list[Span]:
    """`statuses`: (since ms, status), oldest first; empty before `known_since`."""
    start = now - DAY_MS
    spans: list[Span] = []
    points = list(statuses)
    for (since, status), (until, _) in zip(points, [*points[1:], (now, "")], strict=True):
        left, right = max(since, start, known_since), min(until, now)
        if right > left:
            spans.append(_span(status, left, right, start))
    for begin, end in away:
        left, right = max(begin, start), min(end, now)
        if right > left:
            spans.append(_span("away", left, right, start))
    return spans


def _span(kind: str, left: int, right: int, start: int) -> Span:
    return Span(kind, round((left - start) * 100 / DAY_MS, 2), round((right - left) * 100 / DAY_MS, 2))


def durations(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by kind, longest first."""
    totals: dict[str, float] = {}
    for span in spans:
        totals[span.kind] = totals.get(span.kind, 0) + span.width * DAY_MS / 100_000
    return dict(sorted(totals.items(), key=lambda pair: -pair[1]))
