"""`/`: all machines, or "Add your first machine"; `/machines/{id}`: the Overview of one, with charts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import anyio
from starlette.responses import JSONResponse, Response

from dashboard import charts, fleet, formats, machine, sparkline, status_list
from dashboard.happenings import LIMITS
from dashboard.trouble import open_alerts
from db.queries import statuses
from db.queries.events import EventFilters, list_events
from db.records import EventRow
from hub.attention import rules as attention_rules
from hub.attention import service as attention_service
from hub.commands import service
from hub.commands.rules import DESIRED_STATE_LIFETIME, Refused
from hub.machines import tab
from hub.machines.key_page import first_run
from hub.metrics import service as metrics_service
from hub.model import trend, views
from hub.model.access import role_needed
from hub.model.actors import row_id, whole_number
from hub.model.machine import Machine
from hub.model.presence import critical_limit
from hub.model.views import machine_view
from hub.status import api as status_api
from hub.status import service as status_service
from hub.web.api.endpoint import permit, why_not
from hub.web.auth.limits import ReadBudget
from hub.web.http.problems import Problem, Text
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import FleetDigest, in_slices, to_approve
from hub.web.shell.page import Visit, go, local

BLANK: dict[str, Any] = {
    "id": 0, "name": "", "location_description": "", "simulated": False, "effective_status": "unknown", "capacity": 0,
    "connection": "never", "connection_reason": None, "connection_since": None, "last_seen_at": None, "status_since": 0,
    "readings": None, "over": (), "lease": None, "backup": None, "spark": "", "gap": 2, "alerts": 0,
}  # fmt: skip
"""The page clones this row for machines added while it is open."""


async def show_fleet(
    visit: Visit, saved: Callable[[Visit], Awaitable[Any]], needs: Callable[[Visit], Awaitable[dict[str, Any]]]
) -> Response:
    """`saved`: the views that people keep; `needs`: what needs somebody."""
    async with visit.context[ReadBudget].turn(visit.user.actor):
        return await _fleet(visit, saved, needs)


async def _fleet(
    visit: Visit, saved: Callable[[Visit], Awaitable[Any]], needs: Callable[[Visit], Awaitable[dict[str, Any]]]
) -> Response:
    reach, digest = visit.user.machines, visit.context[FleetDigest]
    shown_views = await digest.views(reach)
    if not shown_views:
        return await first_run(visit) if visit.may("machine.manage") else await _unassigned(visit)
    query = fleet.query_from(visit.request.query_params)
    if address := fleet.one_address(visit.request.query_params.multi_items()):
        return go(address)
    if query.look == "map":
        return go(query.address())
    counts = (await digest.of(reach, visit.reader.now)).counts
    found = [view async for view in in_slices(shown_views) if fleet.matches(view, query)]
    in_order = fleet.grouped(fleet.ordered(found, query, visit.reader.now), query)
    query = replace(query, page=min(query.page, max(1, -(-len(in_order) // fleet.PAGE))))
    first = (query.page - 1) * fleet.PAGE
    shown = [view["id"] for view in in_order[first : first + fleet.PAGE]]
    await metrics_service.complete_trends(visit.context, shown)
    metric = fleet.METRICS[query.spark or "cpu"]
    rows = [row async for rvm_id in in_slices(shown) if (row := _fleet_row(visit, rvm_id, metric)) is not None]
    return visit.render(
        "machines.html",
        query=query,
        first=first,
        matching=len(in_order),
        rows=rows,
        heads=fleet.heads(in_order, shown, query.group, visit.reader),
        kiosk=fleet.kiosk(visit.request.query_params),
        tags=fleet.tag_counts(shown_views),
        views=await saved(visit),
        counts=counts,
        blank={**BLANK, "status_since": visit.reader.now, "metric": metric},
        may_add=visit.may("machine.manage"),
        kept_days=visit.context.settings.samples_retention_days,
        until_words=visit.reader.day(visit.reader.now + int(DESIRED_STATE_LIFETIME.total_seconds() * 1000)),
        done=await done_now(visit),
        undone=undone_now(visit),
        gone=tab.gone(visit),
        **await needs(visit),
    )


async def done_now(visit: Visit) -> status_service.AskedStatus | None:
    """The status that the address says was just asked for."""
    return await status_service.asked(visit.call(), visit.request.query_params.get("done", ""))


def undone_now(visit: Visit) -> str:
    """The machine whose status the address says was just taken back."""
    rvm_id = row_id(visit.request.query_params.get("undone", ""))
    machine = None if rvm_id is None else visit.context.fleet.machines.get(rvm_id)
    return machine.name if machine is not None and visit.user.reaches(machine.id) else ""


async def _unassigned(visit: Visit) -> Response:
    asked = await tab.administrators(visit)
    return visit.render(
        "unassigned.html", none_at_all=visit.user.machines is None, administrators=asked, gone=tab.gone(visit)
    )


async def part_tags(visit: Visit) -> dict[str, Any]:
    shown = await visit.context[FleetDigest].views(visit.user.machines)
    return {"tags": fleet.tag_counts(shown), "query": fleet.FleetQuery()}


def _fleet_row(visit: Visit, rvm_id: int, metric: str) -> dict[str, Any] | None:
    machine = visit.context.fleet.machines.get(rvm_id)
    if machine is None:
        return None
    now = visit.reader.now
    points = [(point.at, point.newest) for point in machine.trend.points(metric, now)]
    view = machine_view(machine, times="ms")
    over = [reason["code"] for reason in view["health_reasons"]]
    line = sparkline.path(points, now, gap=_gap(machine))
    more = {"over": over, "spark": line, "metric": metric, "gap": _gap(machine), "alerts": open_alerts(view, now)}
    return view | more


def _gap(machine: Machine) -> int:
    """So many steps apart two kept samples are no gap."""
    return sparkline.gap_of(machine.effective_settings.metrics_interval)


MAX_CONNECTION_EVENTS = 500
MAX_DECLARATIONS = 500
SPELLS = 20  # Entries of a page of the status history


Card = Callable[[Visit, Machine], Awaitable[Any]]


class Overview:
    """The first tab of a machine. `cards`: other subjects' values, by their names in the template."""

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self._cards = cards

    async def show(self, visit: Visit) -> Response:
        return await self._page(visit)

    async def _page(self, visit: Visit, refused: str = "", status: int = 200, field: str = "") -> Response:
        """`refused`: shown beside its form; `field`: the one that it is about."""
        found = visit.machine()
        now = visit.reader.now
        head = await tab.head(visit, found)
        view = head["m"]
        limits = warning_limits(found)
        await metrics_service.complete_trends(visit.context, [found.id])
        past = {metric: found.trend.points(metric, now) for metric in trend.METRICS}
        spans = await _band(visit, found)
        return visit.render(
            "machine.html",
            status,
            m=view,
            head_of=head,
            limits=limits,
            **{name: await card(visit, found) for name, card in self._cards.items()},
            s=await _statuses(visit, found),
            w=_whys(visit, found, view),
            tiles=machine.tiles(view, past, limits, now, _gap(found)),
            gap=_gap(found),
            band=spans,
            band_words=machine.durations(spans),
            captions=dict.fromkeys(charts.FIGURES, ""),
            until_words=head["waits_until"],
            refused=refused,
            refused_field=field,
            given=visit.form,
            done=await done_now(visit),
            undone=undone_now(visit),
        )

    async def ask_status(self, visit: Visit) -> Response:
        found, form = visit.machine(), visit.form
        if not visit.may("status.write", found.id):
            raise Problem("forbidden", Text("needs_role", {"role": Text(f"role.{role_needed('status.write')}")}))
        wanted = {"status": form.get("status", "")}
        if form.get("reason", "").strip():
            wanted["reason"] = form["reason"].strip()
        until = until_from(form.get("until", ""), visit.now, found.site_zone)
        if until is not None and wanted["status"] in ("inactive", "maintenance"):
            wanted["until"] = views.rfc3339(until)
        if wanted["status"] == "full" and 0 < found.row.capacity < LIMITS[0] and not form.get("sure"):
            return await self._page(visit, visit.reader.t("full.unsure"), 422, "sure")
        try:
            body = validate(status_api.StatusPatch, wanted)
            answer = await status_api.change_status(visit.call(body, machine=found, query=service.Waiting()))
        except Refused as refused:
            return await self._page(visit, visit.sentence(Problem("conflict", why_not(refused.code))), 409)
        except Problem as refused:
            if refused.kind not in ("conflict", "invalid"):
                raise
            about = "reason" if "reason" in (refused.errors or {}) else ""
            missing = about and "reason" not in wanted
            words = visit.reader.t("reason.missing") if missing else visit.sentence(refused)
            return await self._page(visit, words, refused.status, about)
        done = f"?done={answer.data['command']['id']}"
        back = local(form.get("back"))
        if form.get("back") == back == front_of(found):
            return go(f"{back}{done}")
        return go(f"/{done}" if form.get("back") == back == "/" else f"/machines/{found.id}{done}#done")


def front_of(found: Machine) -> str:
    """Where its label leads."""
    return f"/m/{quote(found.row.device_id, safe='')}"


async def undo(visit: Visit) -> Response:
    """Take back a status that the person has just asked for."""
    found, form = visit.machine(), visit.form
    permit(visit.user, "status.write", found.id)
    command_id = await status_service.take_back(visit.call(machine=found), found, form.get("command", ""))
    here = back if (back := form.get("back", "")) in ("/", front_of(found)) else f"/machines/{found.id}"
    return go(f"{here}?done={command_id}#done" if command_id else f"{here}?undone={found.id}")


async def show_charts(visit: Visit) -> Response:
    found = visit.machine()
    theme = visit.request.query_params.get("theme", "light")
    limits = tuple((metric, limit, critical_limit(limit)) for metric, limit in sorted(warning_limits(found).items()))
    # Importing plotly takes most of a second the first time.
    figures = await anyio.to_thread.run_sync(charts.specification, theme, visit.reader.language, limits)
    start = visit.now - timedelta(seconds=charts.WINDOW_S)
    history = await metrics_service.charted(visit.context.store, found, start, visit.now)
    return JSONResponse(figures | {"history": history, "away": await _away(visit, found, start, visit.now)})


def until_from(choice: str, now: datetime, zone: str) -> datetime | None:
    if choice == "tomorrow":
        return attention_rules.tomorrow(now, zone)
    return now + timedelta(hours=int(choice)) if choice in ("1", "4", "24") else None


def warning_limits(found: Machine) -> dict[str, float]:
    limits = found.effective_settings.limits
    return {
        "temperature": limits.temperature,
        "cpu_usage": limits.cpu_usage,
        "memory_usage": limits.memory_usage,
        "disk_usage": limits.disk_usage,
    }


async def part_why(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    view = views.machine_view(found, times="ms")
    return {"m": view, "w": _whys(visit, found, view)}


async def part_statuses(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {"m": machine_view(found, times="ms"), "s": await _statuses(visit, found)}


def _whys(visit: Visit, found: Machine, view: dict[str, Any]) -> dict[str, Any]:
    now = visit.reader.now
    zone = tab.zone_of(visit.reader, found)
    recorded = attention_service.of_machine(visit.context, visit.user, found, visit.now)
    ends = [machine.other_at(view, now), attention_service.next_undo(recorded.values())]
    until = min((at for at in ends if at is not None), default=None)
    approvals = [machine.Why(one.cause, one.since) for one in to_approve(found, visit.user)]
    causes = approvals + machine.whys(view, now)
    front, asked = front_of(found), visit.request
    is_front = asked.query_params.get("here") == "front" or asked.url.path.startswith("/m/")
    here = front if is_front else f"/machines/{found.id}"
    return {
        "causes": causes, "until": until, "zone": zone, "recorded": recorded, "here": here, "is_front": is_front,
    }  # fmt: skip


async def _statuses(visit: Visit, found: Machine) -> dict[str, Any]:
    """For `status_list.html`: the newest, or what precedes `?before=`."""
    before = whole_number(visit.request.query_params.get("before", ""), 10**15 - 1)
    rows = await statuses.newest_statuses(
        visit.context.store, found.id, MAX_DECLARATIONS, None if before is None else formats.instant(before)
    )
    declared = [
        {
            "status": row.status, "special_status": row.special_status, "since": views.epoch_ms(row.since),
            "by": row.by, "reason": row.reason, "until": None if row.until is None else views.epoch_ms(row.until),
        }
        for row in rows
    ]  # fmt: skip
    spells, rest = status_list.page(declared, SPELLS, before, more=len(rows) == MAX_DECLARATIONS)
    return {
        "id": found.id,
        "spells": spells,
        "older": {"open": before is not None, "before": rest},
        "zone": tab.zone_of(visit.reader, found),
        "who": await tab.naming(visit, found, {spell.by for spell in spells}),
    }


async def _band(visit: Visit, found: Machine) -> list[machine.Span]:
    store, end = visit.context.store, visit.now
    start = end - timedelta(days=1)
    history = await statuses.statuses_between(store, found.id, start, end)
    declared = [(views.epoch_ms(row.since), row.special_status or row.status) for row in history]
    if not declared:
        declared = [(views.epoch_ms(found.row.status_since), found.effective_status)]
    away = await _away(visit, found, start, end)
    return machine.band(declared, away, visit.reader.now, views.epoch_ms(found.row.created_at))


async def _away(visit: Visit, found: Machine, start: datetime, end: datetime) -> list[tuple[int, int]]:
    asked = EventFilters(rvm_ids=[found.id], codes=["connection.changed"], start=start, end=end)
    moves = await list_events(visit.context.store, asked, limit=MAX_CONNECTION_EVENTS)
    return away_spans(found, moves, visit.reader.now)


def away_spans(found: Machine, moves: list[EventRow], now: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    until = now
    for event in moves:  # newest first
        at = views.epoch_ms(event.at)
        if (event.after or event.params).get("connection") == "offline":
            since = event.params.get("since")
            at = at if since is None else min(at, views.epoch_ms(datetime.fromisoformat(since)))
            spans.append((at, until))
        until = at
    if not moves and found.connection in ("offline", "never"):
        spans.append((views.epoch_ms(found.connection_since or found.row.created_at), now))
    return spans


class FrontPage:
    """`/m/{device_id}`, for somebody in front of the machine. `doing`: what its buttons take of another subject."""

    def __init__(self, doing: Card) -> None:
        self._doing = doing

    async def show(self, visit: Visit) -> Response:
        values = {**await self.part_state(visit), **await part_why(visit), **await self.part_do(visit)}
        return visit.render("front.html", **values, done=await done_now(visit), undone=undone_now(visit))

    async def part_state(self, visit: Visit) -> dict[str, Any]:
        found = visit.machine()
        return {"m": machine_view(found, times="ms"), "zone": tab.zone_of(visit.reader, found)}

    async def part_do(self, visit: Visit) -> dict[str, Any]:
        found = visit.machine()
        return {
            "m": machine_view(found, times="ms"),
            "front": front_of(found),
            "may_command": visit.may("status.write", found.id),
            "needs": role_needed("status.write"),
            "d": await self._doing(visit, found),
        }
