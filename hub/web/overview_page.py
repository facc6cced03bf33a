"""`/machines/{id}`: the Overview of one machine, its charts' figures, and its status form without script."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response

from dashboard import charts, formats, machine
from dashboard.reader import Reader
from db import events, samples, statuses
from hub.core import command_desk, views
from hub.core.access import role_needed
from hub.core.changes import Command
from hub.core.command_desk import Refused
from hub.core.health import Limits
from hub.core.machine import Machine
from hub.web import machine_tab
from hub.web.api_v2 import command_flow, status
from hub.web.api_v2.operation import Answer
from hub.web.api_v2.validation import validate
from hub.web.page import Visit, go, local
from hub.web.problems import Problem, Text

STEPS = {"queued": 1, "sent": 2, "accepted": 3, "running": 3, "succeeded": 4}
MAX_CONNECTION_EVENTS = 500


async def show_machine(visit: Visit) -> Response:
    found = visit.machine()
    reader, now = visit.reader, visit.reader.now
    head = await machine_tab.head(visit, found)
    view, zone = head["m"], head["zone"]
    limits = warning_limits(visit)
    recent = [(at, views.readings_view(sample)) for at, sample in found.recent]
    spans = await _band(visit, found)
    return visit.render(
        "machine.html",
        m=view,
        head_of=head,
        limits=limits,
        whys=machine.whys(view, now),
        tiles=machine.tiles(view, recent, limits, now),
        band=spans,
        band_words=machine.durations(spans),
        captions=dict.fromkeys(charts.FIGURES, ""),
        outcome=await _outcome(visit, found, zone),
        until_words=reader.day(now + int(command_desk.PATIENCE.total_seconds() * 1000), zone),
        said=None,
    )


async def show_charts(visit: Visit) -> Response:
    """The figures as plotly specifies them, and the points of the last ten minutes."""
    found = visit.machine()
    theme = visit.request.query_params.get("theme", "light")
    limits = tuple(sorted(warning_limits(visit).items()))
    # Importing plotly takes most of a second the first time.
    figures = await anyio.to_thread.run_sync(charts.specification, theme, visit.reader.language, limits)
    away = await _away(visit, found, visit.now - timedelta(seconds=charts.WINDOW_S), visit.now)
    return JSONResponse(figures | {"history": await _history(visit, found), "away": away})


async def ask_status(visit: Visit) -> Response:
    """The status form without script: the same operation as by REST, then back to the page that shows the command."""
    found, form = visit.machine(), visit.form
    if not visit.may("status.write", found.id):
        raise Problem("forbidden", Text("needs_role", {"role": Text(f"role.{role_needed('status.write')}")}))
    wanted = {"status": form.get("status", "")}
    if form.get("reason", "").strip():
        wanted["reason"] = form["reason"].strip()
    zone = machine_tab.zone_of(visit, found)
    until = until_from(form.get("until", ""), visit.now, zone)
    if until is not None and wanted["status"] in ("inactive", "maintenance"):
        wanted["until"] = views.rfc3339(until)
    body = validate(status.StatusPatch, wanted)
    try:
        answer: Answer = await status.change_status(visit.call(body, machine=found, query=command_flow.Waiting()))
    except Refused as refused:
        raise Problem("conflict", Text(f"refused.{refused.code}")) from refused
    back = local(form.get("back"))
    return go("/" if form.get("back") == back == "/" else f"/machines/{found.id}?asked={answer.data['command']['id']}")


def until_from(choice: str, now: datetime, zone: str) -> datetime | None:
    """The instant an "until" choice means: hours from now, or tomorrow at seven where the machine stands."""
    if choice == "tomorrow":
        local_now = now.astimezone(formats.zone(zone))
        return (local_now + timedelta(days=1)).replace(hour=7, minute=0, second=0, microsecond=0)
    return now + timedelta(hours=int(choice)) if choice in ("1", "4", "24") else None


def warning_limits(visit: Visit) -> dict[str, float]:
    settings = visit.context.settings
    return {
        "temperature": settings.temperature_threshold,
        "cpu_usage": settings.cpu_threshold,
        "memory_usage": settings.memory_threshold,
        "disk_usage": Limits().disk_usage,
    }


async def _band(visit: Visit, found: Machine) -> list[machine.Span]:
    store, end = visit.context.store, visit.now
    start = end - timedelta(days=1)
    history = await statuses.statuses_between(store, found.id, start, end)
    declared = [(views.epoch_ms(row.since), row.special_status or row.status) for row in history]
    if not declared:
        declared = [(views.epoch_ms(found.status_since), found.effective_status)]
    away = await _away(visit, found, start, end)
    return machine.band(declared, away, visit.reader.now, views.epoch_ms(found.created_at))


async def _away(visit: Visit, found: Machine, start: datetime, end: datetime) -> list[tuple[int, int]]:
    moves = await events.list_events(
        visit.context.store,
        limit=MAX_CONNECTION_EVENTS,
        rvm_ids=[found.id],
        codes=["connection.changed"],
        start=start,
        end=end,
    )
    return away_spans(found, moves, visit.reader.now)


def away_spans(found: Machine, moves: list[events.EventRow], now: int) -> list[tuple[int, int]]:
    """When nobody heard the machine: from each `offline` to what came next; the newest may last until now."""
    spans: list[tuple[int, int]] = []
    until = now
    for event in moves:  # newest first
        at = views.epoch_ms(event.at)
        if (event.after or event.params).get("connection") == "offline":
            spans.append((at, until))
        until = at
    if not moves and found.connection in ("offline", "never"):
        spans.append((views.epoch_ms(found.connection_since or found.created_at), now))
    return spans


async def _history(visit: Visit, found: Machine) -> list[list[float | None]]:
    """Kept samples of the window, then what memory holds of the last minutes: rows of [ms, cpu, gpu, temperature]."""
    metrics = ("cpu_usage", "gpu_usage", "temperature")
    end = visit.now
    start = end - timedelta(seconds=charts.WINDOW_S)
    live: list[list[float | None]] = [
        [at, *(getattr(sample, metric) for metric in metrics)] for at, sample in found.recent
    ]
    first = min((row[0] for row in live if row[0] is not None), default=float("inf"))
    kept = await samples.history(visit.context.store, found.id, start, end, 600, metrics)
    rows: list[list[float | None]] = []
    for bucket in kept:
        at = views.epoch_ms(bucket.start)
        if at < first:
            rows.append([at, *(bucket.metrics[m][1] if m in bucket.metrics else None for m in metrics)])
    return rows + live


async def _outcome(visit: Visit, found: Machine, zone: str) -> dict[str, Any] | None:
    """The newest status command: the open one, or the one this visit just asked for."""
    open_ones = [command for command in found.pending.values() if command.name == "set_status"]
    command: Command | None = open_ones[-1] if open_ones else None
    asked = visit.request.query_params.get("asked", "")
    if command is None and asked:
        try:
            command = await command_flow.find(visit.call(), asked)
        except Problem:
            return None
    if command is None or command.rvm_id != found.id or command.name != "set_status":
        return None
    return outcome(visit.reader, command, away=found.connection in ("offline", "never"), zone=zone)


def outcome(reader: Reader, command: Command, *, away: bool, zone: str) -> dict[str, Any]:
    """A command's state in words, and the steps it has reached."""
    t, error = reader.t, command.error or {}
    wanted = command.args.get("special_status") or command.args.get("status")
    how = t("how.sending") if command.state == "queued" and not away else t(
        f"how.{command.state}",
        until=reader.day(views.epoch_ms(command.expires_at), zone),
        why=error.get("message") or error.get("code") or "",
    )  # fmt: skip
    reached = STEPS.get(command.state, 0)
    return {
        "what": t("asked", status=reader.said("status", str(wanted))),
        "how": how,
        "steps": ("queued", "sent", "running", "done")[:reached],
    }
