"""The head of every tab of `/machines/{id}`: name, status, connection, facts, tabs, a key conflict. The board card."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from dashboard import actions, backups
from dashboard import board as board_card
from dashboard.bulk import Forecast
from dashboard.reader import Reader
from dashboard.spreadsheet import SEPARATOR_OF
from dashboard.trouble import is_connected, quarantined
from db.queries import users
from db.queries.events import EventFilters, list_events
from hub.commands import cards
from hub.commands import rules as command_rules
from hub.machines import api, sheet_api
from hub.model import actors, views
from hub.model.access import ACTIONS, role_needed
from hub.model.machine import Machine
from hub.status import service as status_service
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem
from hub.web.shell.page import Visit, go, who

TABS: Final = (
    ("overview", ""), ("history", "/history"), ("remote", "/remote"),
    ("backups", "/backups"), ("events", "/events"), ("settings", "/settings"),
)  # fmt: skip
MAX_ADDRESSES: Final = 5
MOST_ASKED: Final = 3
"""Administrators that are named to who needs one."""


class LostMachine(NamedTuple):
    """`name`: "" if there is none; `perhaps_there`: for others, of which its former reader is told nothing."""

    name: str
    perhaps_there: bool


def gone(visit: Visit) -> LostMachine:
    """The machine that the address says was lost while its page was open, unless there is one of that name."""
    name, reach = visit.request.query_params.get("gone", "").strip()[:100], visit.user.reaches
    there = any(reach(machine.id) and machine.name == name for machine in visit.context.fleet.machines.values())
    return LostMachine("" if there or not name.isprintable() else name, visit.user.machines is not None)


async def administrators(visit: Visit) -> list[str]:
    """Whom to ask."""
    everybody = await users.all_users(visit.context.store)
    return [one.name for one in everybody if one.role == "admin" and one.disabled_at is None][:MOST_ASKED]


async def head(visit: Visit, found: Machine, *also: str) -> dict[str, Any]:
    """For `machine_head.html`. `also`: further actors that the tab names."""
    zone = zone_of(visit.reader, found)
    reader = visit.reader = replace(visit.reader, zone=zone)  # the whole page of a machine is read in one zone
    view = views.machine_detail(found, times="ms")
    jobs = await cards.of_machine(visit, found)
    issuers = {job.issued_by for job in jobs}
    names = names_for(found, await users.all_users(visit.context.store), {*also, *issuers})
    locked = quarantined(view, reader.now)
    return {
        "m": view,
        "zone": zone,
        "site_zone": found.site_zone,
        "clock_zone": found.clock_zone,
        "names": names,
        "tabs": TABS,
        "who": lambda actor: who(reader, actor, names),
        "facts": facts(reader, view, found.clock_zone),
        "may_command": visit.may("status.write", found.id),
        "ways": actions.ways(view, lambda action: visit.may(action, found.id)),
        "may_release": visit.may("machine.release", found.id),
        "needs": role_needed("status.write"),
        "addresses": await _conflict_addresses(visit, found) if locked else (),
        "locked": locked,
        "unencrypted": is_unencrypted(found.row.hardware),
        **cards.on_machine(visit, jobs, names),
        "offers": actions.offers(view, may=visit.may("command.send", found.id)),
        "services": actions.services(view),
        "waits_until": reader.day(reader.now + int(command_rules.DESIRED_STATE_LIFETIME.total_seconds() * 1000), zone),
        "give_up": reader.span(command_rules.IMMEDIATE_LIFETIME.total_seconds()),
        "request": secrets.token_hex(16),
    }


async def naming(visit: Visit, found: Machine, actors_shown: Iterable[str]) -> Callable[[str], str]:
    names = await people(visit, found, actors_shown)
    return lambda actor: who(visit.reader, actor, names)


async def people(visit: Visit, found: Machine, actors_shown: Iterable[str]) -> dict[str, str]:
    return names_for(found, await users.all_users(visit.context.store), actors_shown)


async def release(visit: Visit) -> Response:
    """By the API's operation; a quarantine that is over needs none."""
    found = visit.machine()
    permit(visit.user, "machine.release", found.id)
    try:
        await api.release_machine(visit.call(machine=found))
    except Problem as refused:
        if refused.kind != "conflict":
            raise
    return go(f"/machines/{found.id}")


async def undo_many(visit: Visit) -> Response:
    """`/bulk/undo`: take back what many machines were just asked for."""
    permit(visit.user, "command.send")
    group = visit.form.get("group", "")
    data = await status_service.take_back_group(visit.call(), group)
    asked = [row["command"] for row in data["results"] if row["command"] is not None]
    again = any(command["group_id"] == data["group_id"] for command in asked)
    return visit.render(
        "bulk.html", key="undo", machines=data["results"], refused=cards.refusals(visit, data), fault="",
        group=data["group_id"] if again else group, can_undo=False,
    )  # fmt: skip


async def write_sheet(visit: Visit) -> Response:
    """`/bulk/sheet`: the selected machines as a file for a spreadsheet of the page's language."""
    found = cards.selected(visit)
    if found:
        separator = SEPARATOR_OF[visit.reader.language]
        return sheet_api.sheet_file([machine.row for machine in found], separator, for_spreadsheet=True)
    return visit.render(
        "bulk.html", 422, **cards.of_many(visit, "sheet", found, Forecast(0, 0, 0)), at="/bulk/sheet", group="",
        fault=visit.reader.t("bulk.none"), refused=(), asks_reason=False, needs_reason=False,
    )  # fmt: skip


def zone_of(reader: Reader, found: Machine) -> str:
    """The reader's own, else the machine's place."""
    return reader.zone_at(found.site_zone)


def names_for(found: Machine, everybody: Iterable[users.UserWithMachines], also: Iterable[str] = ()) -> dict[str, str]:
    shown = {found.row.status_by, *also}

    def acts(user: users.UserWithMachines) -> bool:
        own = user.role != "technician" or found.id in user.machines
        return own and user.role in ACTIONS["status.write"] and user.disabled_at is None

    return {str(user.id): user.name for user in everybody if acts(user) or actors.user(user.id) in shown}


def facts(reader: Reader, view: Mapping[str, Any], zone: str) -> list[tuple[str, str, str]]:
    readings = view["readings"] or {}
    offset = view["clock_offset_s"]
    known = [
        ("device_id", view["device_id"], ""),
        ("agent", view["agent_version"], ""),
        ("uptime", _of_now(reader, view, reader.span(readings["uptime_s"])) if readings.get("uptime_s") else None, ""),
        ("ip", view["last_ip"], ""),
        ("time", None if offset is None else _machine_time(reader, view, offset, zone), zone),
        ("clock", None if offset is None else _of_now(reader, view, reader.offset(offset)), ""),
        ("backup", backups.short(reader, view["backup"]), ""),
        ("key", f"{view['api_key_prefix']}…" if view["api_key_prefix"] else None, ""),
    ]
    return [(name, str(value) if value else "—", hint) for name, value, hint in known]


def is_unencrypted(hardware: Mapping[str, Any] | None) -> bool:
    """Whether the machine reported that its key crosses a network unencrypted."""
    reported = (hardware or {}).get("hub_tls")
    return isinstance(reported, dict) and reported.get("mode") == "plain"


async def board(visit: Visit, found: Machine) -> dict[str, Any] | None:
    """For `board_card.html`; None: it has never reported its board, or there is nothing to say of it, as of a PC's."""
    row, reader = found.row, visit.reader
    if row.board_report is None or row.board_report_at is None:
        return None
    card = board_card.card(reader, row.board_report)
    if not card.facts and not card.parts:
        return None
    at = views.epoch_ms(row.board_report_at)
    return {
        "card": card,
        "at": reader.day(at, zone_of(reader, found)),
        "age": reader.age(at),
        "away": found.connection in ("offline", "never"),
    }


async def part_board(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {"m": views.machine_view(found, times="ms"), "b": await board(visit, found)}


def _of_now(reader: Reader, view: Mapping[str, Any], value: str) -> str:
    """As past for a machine that is away."""
    return value if is_connected(view) else reader.t("past_value", value=value)


def _machine_time(reader: Reader, view: Mapping[str, Any], offset: float, zone: str) -> str:
    """What its clock shows; of one that does not tell it now, what it showed last."""
    if view["connection"] == "live":
        return f"{reader.clock(reader.now + int(offset * 1000), zone, seconds=True)} {reader.zone_label(zone)}"
    seen = reader.now if view["last_seen_at"] is None else view["last_seen_at"]
    return reader.t("past_value", value=reader.day(seen + int(offset * 1000), zone))


async def _conflict_addresses(visit: Visit, found: Machine) -> tuple[str, ...]:
    asked = EventFilters(rvm_ids=[found.id], codes=["machine.quarantined"])
    newest = await list_events(visit.context.store, asked, limit=1)
    given = newest[0].params.get("addresses") if newest else None
    return tuple(str(address) for address in given[:MAX_ADDRESSES]) if isinstance(given, list) else ()
