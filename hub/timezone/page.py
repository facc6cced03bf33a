"""The time zone card of the Overview, and its buttons. Keeping a pinned zone against a differing look-up is the
event `timezone.kept`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import Response

from dashboard import jobs, zone
from dashboard.reader import Reader
from db.queries import timezones
from db.queries.events import EventFilters, list_events
from db.records import CommandRow
from hub.commands import cards, service
from hub.commands.rules import DESIRED_STATE_LIFETIME, Refused
from hub.machine_settings import api
from hub.machines import tab
from hub.model import views
from hub.model.access import role_needed
from hub.model.changes import EventHappened
from hub.model.machine import Machine
from hub.timezone import api as timezone
from hub.timezone.rules import checked_at, may_sync_by_hand, zone_view
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem, Text
from hub.web.shell.page import Visit, go

KEPT = "timezone.kept"


async def part(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {"m": views.machine_view(found, times="ms"), "z": await card(visit, found)}


async def card(visit: Visit, found: Machine) -> dict[str, Any]:
    reader, view = visit.reader, zone_view(found)
    site = tab.zone_of(visit.reader, found)
    kept = await _kept(visit, found, view) if view["guess"] else None
    open_ones = [command for command in found.pending.values() if command.name == "sync_timezone"]
    return {
        "state": zone.state_of(view),
        "quiet": zone.state_of(view) in zone.QUIET,
        "mark": zone.MARKS[zone.state_of(view)],
        "guess": named(reader, view["guess"]),
        "pinned": named(reader, view["pinned_timezone"]),
        "view": view,
        "wanted": zone.wanted_of(view),
        "words": words(reader, view),
        "facts": facts(reader, view, await _checked(visit, found)),
        "counts": await timezones.counts(visit.context.store, found.row.device_id),
        "kept": kept,
        "asked": await _asked(visit, found, open_ones),
        "away": found.connection in ("offline", "never"),
        "until": reader.day(reader.now + int(DESIRED_STATE_LIFETIME.total_seconds() * 1000), site),
        "locked": _locked(visit, found),
        "may_pin": visit.may("config.write", found.id),
    }


def named(reader: Reader, name: str | None) -> str:
    """`Asia/Jakarta, WIB`."""
    return reader.t("tz.none") if name is None else f"{name}, {reader.zone_label(name)}"


def words(reader: Reader, view: dict[str, Any]) -> str:
    state, error = zone.state_of(view), view["error"] or {}
    offset = view["clock_offset_s"]
    code = "ok.clock" if state == "ok" and offset is not None else state
    return reader.t(
        f"tz.{code}",
        zone=named(reader, view["current_timezone"]),
        system=named(reader, view["system_timezone"]),
        wanted=zone.wanted_of(view) if state == "not_permitted" else named(reader, zone.wanted_of(view)),
        offset=reader.offset(offset or 0),
        why=error.get("message") or error.get("code") or "",
    )


def facts(reader: Reader, view: dict[str, Any], checked: datetime | None) -> list[tuple[str, str]]:
    t = reader.t
    offset, ntp = view["clock_offset_s"], {True: "yes", False: "no", None: "unknown"}[view["ntp"]]
    wanted, last = zone.wanted_of(view), t("never_yet")
    if checked is not None:
        method = reader.text_of("tz.method", view["sync_method"])
        last = t("tz.checked", age=reader.age(views.epoch_ms(checked)), method=method)
    return [
        ("device", named(reader, view["system_timezone"])),
        ("site", f"{named(reader, wanted)} ({source(reader, view)})" if wanted else t("tz.none")),
        ("offset", t("tz.none") if offset is None else reader.offset(offset)),
        ("ntp", t(f"tz.ntp.{ntp}")),
        ("last", last),
    ]


async def _checked(visit: Visit, found: Machine) -> datetime | None:
    at = None if found.zone is None else found.zone.last_sync
    attempt = None if at is None else await timezones.attempt(visit.context.store, found.row.device_id, at)
    return at if attempt is None else checked_at(attempt, found.row.clock_offset_s)


def source(reader: Reader, view: dict[str, Any]) -> str:
    if view["pinned_timezone"]:
        return reader.t("tz.by.pinned")
    place = ", ".join(part for part in (view["city"], view["country"]) if part)
    if view["source"] == "lookup" and place:
        return reader.t("tz.by.place", place=place)
    return reader.text_of("tz.by", view["source"]) if view["source"] else reader.t("tz.none")


async def ask_zone(visit: Visit) -> Response:
    found, wanted = visit.machine(), visit.form.get("do", "")
    if wanted == "sync":
        permit(visit.user, "timezone.sync", found.id)
        body = timezone.ZoneSyncNow(device_id=found.id)
        try:
            await timezone.sync_timezone(visit.call(body, machine=found, query=service.Waiting()))
        except Refused as refused:
            raise Problem("conflict", Text(f"refused.{refused.code}")) from refused
    elif wanted in ("pin", "unpin"):
        permit(visit.user, "config.write", found.id)
        await api.pin_zone(visit.call(machine=found), visit.form.get("zone", "") if wanted == "pin" else "")
    elif wanted == "keep":
        permit(visit.user, "config.write", found.id)
        await _keep(visit, found)
    return go(f"/machines/{found.id}#zone")


async def _keep(visit: Visit, found: Machine) -> None:
    view = zone_view(found)
    guess, pinned = view["guess"], view["pinned_timezone"]
    if guess and pinned and await _kept(visit, found, view) is None:
        params = {"guess": guess, "pinned": pinned}
        await visit.context.announce(
            EventHappened(at=visit.now, code=KEPT, actor=visit.user.actor, rvm_id=found.id, params=params)
        )


async def _kept(visit: Visit, found: Machine, view: dict[str, Any]) -> dict[str, Any] | None:
    rows = await list_events(visit.context.store, EventFilters(rvm_ids=[found.id], codes=[KEPT]), limit=1)
    if not rows or rows[0].params != {"guess": view["guess"], "pinned": view["pinned_timezone"]}:
        return None
    by = rows[0].actor
    name_of = await tab.naming(visit, found, {by})
    return {"who": name_of(by), "at": views.epoch_ms(rows[0].at)}


async def _asked(visit: Visit, found: Machine, open_ones: list[CommandRow]) -> dict[str, Any] | None:
    ended = () if open_ones else await cards.of_machine(visit, found)
    syncs = [command for command in (*open_ones, *ended) if command.name == "sync_timezone"]
    if not syncs:
        return None
    command = max(syncs, key=lambda each: each.issued_at)
    view = views.command_view(command, times="ms")
    away = found.connection in ("offline", "never")
    shown = jobs.card(visit.reader, view, who="", away=away, zone=tab.zone_of(visit.reader, found))
    return {"reached": zone.reached(view), "failed": zone.failed(view), "how": shown.how}


def _locked(visit: Visit, found: Machine) -> str:
    t = visit.reader.t
    if not visit.may("timezone.sync", found.id):
        return t("needs_role", role=t(f"role.{role_needed('command.send')}"))
    if not may_sync_by_hand(found):
        return t("tz.by_button_off")
    known = found.connection != "never" and found.capabilities
    return t("tz.unsupported") if known and "sync_timezone" not in found.capabilities else ""
