"""`/machines/{id}/history`: what a machine measured, from ten minutes to a year: charts, tables, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import anyio
import msgspec
from starlette.responses import JSONResponse, Response

from dashboard import charts, formats, history_points
from dashboard.history import MOST_DAYS, RANGES, HistoryChoice, choice_from, ticks, typed
from dashboard.history_points import CARDS, Away, ConnectionMove, Declared, Gap, Mark, MetricSummary, Point
from dashboard.spreadsheet import SEPARATOR_OF, SEPARATORS, encoding, opening
from dashboard.trouble import is_connected
from db.queries import statuses
from db.queries.events import EventFilters, list_events
from db.records import EventRow
from hub.machines import tab
from hub.metrics import service as metrics_service
from hub.model import views
from hub.model.machine import Machine
from hub.model.presence import critical_limit
from hub.web.auth.limits import ReadBudget
from hub.web.shell.page import Visit, go
from protocol.zones import is_zone

MOST_DECLARATIONS: Final = 20_000
"""A machine that declares its filling every five minutes for 70 days."""
MOST_EVENTS: Final = 1000
MOST_CHANGES: Final = 12
"""Of status that lines through the charts show; more of them are only the strip above."""
LIMITED: Final = ("cpu_usage", "memory_usage", "disk_usage", "temperature")


@dataclass(frozen=True, slots=True)
class Card:
    """A chart with its words. `lines`: a summary a metric; `rows`: of its table, by instant, for each metric mean,
    lowest and highest; `data`, `gap_words`: as JSON; `view`: of an axis that fits."""

    name: str
    metrics: Sequence[str]
    lines: Sequence[tuple[str, MetricSummary]]
    rows: Sequence[tuple[int, Sequence[tuple[str, float | None]]]]
    data: str
    gap_words: str
    view: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Story:
    """What a machine was between two instants."""

    away: list[Away]
    spans: list[tuple[int, int, str]]
    marks: list[Mark]
    capacity: list[Point]
    capacity_now: tuple[int, float] | None


async def show_history(visit: Visit) -> Response:
    found = visit.machine()
    choice = _choice(visit, found)
    if choice.naive:
        return go(choice.here)
    head = await tab.head(visit, found)
    values = await part_history(visit)
    return visit.render("history.html", 422 if choice.faults else 200, **values | {"m": head["m"]}, head_of=head)


def _choice(visit: Visit, found: Machine) -> HistoryChoice:
    """The whole page is read by one clock from here on."""
    zones, params = _zones(visit, found), visit.request.query_params
    zone = zones.get(params.get("zone", ""), zones[_usual_zone(zones)])
    visit.reader = replace(visit.reader, zone=zone, own_zone=zone)
    return choice_from(params, f"/machines/{found.id}/history", visit.reader.now, zone)


def _zones(visit: Visit, found: Machine) -> dict[str, str]:
    """By its name in the address; the reader's own only where one was chosen."""
    own = visit.user.timezone
    return {"site": found.site_zone} | ({"mine": own} if own else {}) | {"utc": "UTC"}


def _usual_zone(zones: Mapping[str, str]) -> str:
    return "mine" if "mine" in zones else "site"


async def part_history(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    choice = _choice(visit, found)
    async with visit.context[ReadBudget].long_turn(visit.user.actor):
        points, story = await _read(visit, found, choice)
        cards = await _cards(visit, found, choice, points, story)
        newest = None if cards else await metrics_service.newest_at(visit.context.store, found)
    view = views.machine_view(found, times="ms")
    zones = _zones(visit, found)
    return {
        "m": view,
        "c": choice,
        "ranges": tuple(RANGES),
        "cards": cards,
        "missing": {
            name: visit.reader.t(f"metric.{name}") for name in CARDS if name not in {card.name for card in cards}
        },
        "newest": newest,
        "spans": _percent(choice, story),
        "band_words": _durations(story),
        "restarts": _restarts(visit, choice, story),
        "interval": found.effective_settings.metrics_interval,
        "drawn": _drawn(visit, choice, story),
        "is_now": choice.live and is_connected(view),
        "zones": zones,
        "zone_key": choice.zone_key if choice.zone_key in zones else _usual_zone(zones),
        # By the clock of the page that they lead to.
        "days": [typed(at, zones[_usual_zone(zones)])[:10] for at in (choice.start, choice.end)],
        "most_days": MOST_DAYS,
        "export_zones": list(dict.fromkeys((choice.zone, *zones.values()))),
    }


async def _read(visit: Visit, found: Machine, choice: HistoryChoice) -> tuple[dict[str, list[Point]], Story]:
    end = min(choice.end, choice.now)
    points: dict[str, list[Point]] = {}
    if choice.first < end:
        store, first = visit.context.store, choice.first
        points = await metrics_service.measured(store, found, first, end, choice.width)
    story = await _story(visit, found, choice, end)
    return {name: known for name, known in {**points, "capacity": story.capacity}.items() if known}, story


async def _story(visit: Visit, found: Machine, choice: HistoryChoice, end: int) -> Story:
    if end <= choice.start:
        return Story([], [], [], [], None)
    added = views.epoch_ms(found.row.created_at)
    moves = [_move(row) for row in await _events(visit, found, "connection.changed", choice.start, end)]
    since = None if found.connection_since is None else views.epoch_ms(found.connection_since)
    away = history_points.away_spans(moves, choice.first, end, added, (found.connection, since))
    introduced = await _events(visit, found, "machine.introduced", choice.start, end)
    boots = [(views.epoch_ms(row.at), row.params.get("boot_id")) for row in introduced]
    declared = await _declared(visit, found, choice.first, end)
    spans = history_points.statuses(declared, choice.start, end, added)
    known = [Away(0, added, "before"), *away]
    capacity = history_points.capacity_points(declared, known, choice.first, end, choice.width)
    last = (declared[-1].since, float(declared[-1].capacity)) if declared and capacity else None
    marks = history_points.marks(spans, history_points.restarts(boots, choice.start))
    away = [Away(max(gone.start, choice.start), gone.end, gone.code) for gone in away if gone.end > choice.start]
    return Story(away, spans, marks, capacity, last)


async def _declared(visit: Visit, found: Machine, start: int, end: int) -> list[Declared]:
    rows = await statuses.declared_until(
        visit.context.store, found.id, formats.instant(start), formats.instant(end), MOST_DECLARATIONS
    )
    if not rows:
        return [Declared(views.epoch_ms(found.row.status_since), found.effective_status, found.row.capacity)]
    return [Declared(views.epoch_ms(since), status, capacity) for since, status, capacity in rows]


async def _events(visit: Visit, found: Machine, code: str, start: int, end: int) -> list[EventRow]:
    """Oldest first, with the last one before `start`; not when some between are left out: it would seem to have lasted
    until the first that is known."""
    store, at = visit.context.store, formats.instant(start)
    asked = EventFilters(rvm_ids=[found.id], codes=[code], start=at, end=formats.instant(end))
    within = await list_events(store, asked, limit=MOST_EVENTS)
    if len(within) == MOST_EVENTS:
        return within[::-1]
    before = await list_events(store, replace(asked, start=None, end=at), limit=1)
    return [*before, *reversed(within)]


def _move(row: EventRow) -> ConnectionMove:
    since, reason = row.params.get("since"), row.params.get("reason")
    gone = views.epoch_ms(datetime.fromisoformat(since)) if isinstance(since, str) else None
    return ConnectionMove(
        views.epoch_ms(row.at), str(row.params.get("connection")), str(row.params.get("was")), gone,
        reason if isinstance(reason, str) else None,
    )  # fmt: skip


async def _cards(
    visit: Visit, found: Machine, choice: HistoryChoice, points: Mapping[str, list[Point]], story: Story
) -> list[Card]:
    store, end = visit.context.store, min(choice.end, choice.now)
    read = {metric: known for metric, known in points.items() if metric != "capacity"}
    if not read:
        return []  # capacity alone is declared, not measured: it would look like a machine that runs
    newest = await metrics_service.newest_values(store, found, choice.start, end)
    if story.capacity_now is not None:
        newest["capacity"] = story.capacity_now
    peaks = await metrics_service.peaks(store, found, read, choice.width)
    added = views.epoch_ms(found.row.created_at)
    times = sorted({point.at for known in read.values() for point in known})
    interval = int(found.effective_settings.metrics_interval * 1000)
    step = history_points.step_of(times, choice.width, interval)
    limits = {name: [limit for limit in pair if limit < charts.FITTED.get(name, 0)] for name, *pair in _limits(found)}

    def card(name: str, metrics: Sequence[str]) -> Card:
        own = sorted({point.at for metric in metrics for point in points.get(metric, ())})
        broken = history_points.gaps(own, choice.start, end, choice.width, step, story.away, added)
        broken = history_points.unmeasured(broken, times)
        summaries = [
            (metric, made)
            for metric in metrics
            if (
                made := history_points.summary(
                    points.get(metric, []), newest.get(metric), peaks.get(metric), choice.start
                )
            )
        ]
        view = history_points.fitted(points, metrics, limits.get(name, ())) if name in charts.FITTED else None
        data = history_points.columns(metrics, points, broken, choice.first, choice.width)
        named = _json([(gap.start, gap.end, _gap_words(visit, gap)) for gap in broken])
        return Card(name, metrics, summaries, _rows(choice, metrics, points), _json(data), named, view)

    return [card(name, metrics) for name, metrics in CARDS.items() if any(metric in points for metric in metrics)]


def _rows(
    choice: HistoryChoice, metrics: Sequence[str], points: Mapping[str, list[Point]]
) -> list[tuple[int, Sequence[tuple[str, float | None]]]]:
    """Newest first, of several metrics side by side."""
    first, width = choice.first_row, choice.row_width
    place = {
        metric: {(row.at - first) // width: row for row in history_points.rows(points.get(metric, []), first, width)}
        for metric in metrics
    }
    places = sorted({at for known in place.values() for at in known}, reverse=True)

    def cells(at: int) -> list[tuple[str, float | None]]:
        found = [(metric, place[metric].get(at)) for metric in metrics]
        return [
            (metric, value)
            for metric, row in found
            for value in ((None, None, None) if row is None else (row.mean, row.low, row.high))
        ]

    return [(max(choice.start, first + at * width), cells(at)) for at in places]


def _gap_words(visit: Visit, gap: Gap) -> str:
    key = f"chart.gap.{gap.code}" if gap.code else "chart.gap"
    return visit.reader.t(key, age=visit.reader.span((gap.end - gap.start) / 1000))


def _percent(choice: HistoryChoice, story: Story) -> list[tuple[str, float, float]]:
    """Kind, left and width for the band; where nobody was there lies over it."""
    whole = choice.end - choice.start
    kinds = [(status, a, b) for a, b, status in story.spans]
    kinds += [("away", gone.start, gone.end) for gone in story.away]
    return [(kind, round((a - choice.start) * 100 / whole, 2), round((b - a) * 100 / whole, 2)) for kind, a, b in kinds]


def _durations(story: Story) -> dict[str, float]:
    """Seconds by kind, longest first; what lasted less than one is no row."""
    totals: dict[str, float] = {}
    for kind, a, b in [(status, a, b) for a, b, status in story.spans]:
        totals[kind] = totals.get(kind, 0) + (b - a) / 1000
    gone = sum(one.end - one.start for one in story.away) / 1000
    lasting = [(kind, seconds) for kind, seconds in totals.items() if seconds >= 1]
    return dict(sorted(lasting, key=lambda pair: -pair[1])) | ({"away": gone} if gone >= 1 else {})


def _drawn(visit: Visit, choice: HistoryChoice, story: Story) -> str:
    """What all charts of the page have in common, as JSON."""
    t = visit.reader.t
    changes = [mark.at for mark in story.marks if mark.code != "restart"]
    return _json(
        {
            "range": [choice.start, choice.end],
            "ticks": ticks(choice, visit.reader.language),
            "spans": [[a, b, status, t(f"status.{status}")] for a, b, status in story.spans],
            "away": [[gone.start, gone.end] for gone in story.away],
            "marks": _restarts(visit, choice, story),
            "changes": changes if len(changes) <= MOST_CHANGES else [],
        }
    )


def _restarts(visit: Visit, choice: HistoryChoice, story: Story) -> list[tuple[int, str]]:
    """Newest first, with their words."""
    found = [mark.at for mark in story.marks if mark.code == "restart"]
    return [(at, visit.reader.t("history.restart", when=visit.reader.when(at, choice.zone))) for at in found]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _limits(found: Machine) -> list[tuple[str, float, float]]:
    """Metric, warning limit, critical limit."""
    limits = found.effective_settings.limits
    return [(name, limit := float(getattr(limits, name)), critical_limit(limit)) for name in sorted(LIMITED)]


async def show_figures(visit: Visit) -> Response:
    """The look of the charts, for the theme that the browser is in; their points stand in the page."""
    found = visit.machine()
    theme = visit.request.query_params.get("theme", "light")
    wanted = theme, visit.reader.language, tuple(_limits(found))
    # Importing plotly takes most of a second the first time.
    return JSONResponse(await anyio.to_thread.run_sync(charts.history_specification, *wanted))


async def show_file(visit: Visit) -> Response:
    """As CSV, in the reader's words for spreadsheets: `separator`, `timezone`; `of`: one chart, else all."""
    found = visit.machine()
    choice, params = _choice(visit, found), visit.request.query_params
    if choice.faults:
        return go(f"{choice.base}?{urlencode(dict(params))}")  # where it says what is wrong
    async with visit.context[ReadBudget].long_turn(visit.user.actor):
        points, _ = await _read(visit, found, choice)
    zone = params.get("timezone", "")
    zone = zone if is_zone(zone) else choice.zone
    language = visit.reader.language
    mark = SEPARATORS.get(params.get("separator", ""), SEPARATORS[SEPARATOR_OF[language]])
    metrics = [metric for name in CARDS if params.get("of", name) == name for metric in CARDS[name]]
    text = _file(points, metrics, zone, mark, "," if language == "id" and mark != "," else ".")
    stem = f"history-{found.row.device_id.replace(':', '-')}-{choice.key or 'custom'}"
    headers = {"Content-Disposition": f'attachment; filename="{stem}.csv"'}
    written = encoding(mark, for_spreadsheet=True)
    return Response(f"\ufeff{text}".encode(written), headers=headers, media_type=f"text/csv; charset={written}")


def _file(points: Mapping[str, list[Point]], metrics: Sequence[str], zone: str, mark: str, decimal: str) -> str:
    out = io.StringIO()
    out.write(opening(mark))
    writer = csv.writer(out, delimiter=mark)
    kinds = ("", "_min", "_max")
    writer.writerow(["from", f"from {zone}", *(f"{metric}{kind}" for metric in metrics for kind in kinds)])
    by_time = {metric: {point.at: point for point in points.get(metric, ())} for metric in metrics}
    for at in sorted({at for known in by_time.values() for at in known}):
        moment = formats.instant(at)
        row = [views.rfc3339(moment), f"{moment.astimezone(formats.zone(zone)):%Y-%m-%d %H:%M:%S}"]
        for metric in metrics:
            point = by_time[metric].get(at)
            values = ("", "", "") if point is None else (point.mean, point.low, point.high)
            # Numbers run nothing in a spreadsheet: they need no apostrophe.
            row += [value if isinstance(value, str) else f"{value:.2f}".replace(".", decimal) for value in values]
        writer.writerow(row)
    return out.getvalue()
