"""Shows what needs somebody: the list on the Machines page, the count in every page's head, and `/alerts`: what is
open, taken, snoozed and over. People say there that they are on it, snooze, take back, note what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from dashboard.outage import MANY, TOGETHER_MS, Outage
from dashboard.trouble import RANKS, RESTING, MachineTrouble
from db.columns import from_microseconds, to_microseconds
from db.queries import troubles, users
from db.queries.troubles import OverMark, Together
from db.trouble_records import TroubleRow
from hub.attention import api, rules, service
from hub.attention.service import TroubleShown
from hub.model import views
from hub.model.actors import row_id, whole_number
from hub.model.machine import Machine
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, not_found
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import Digest, FleetDigest, attention
from hub.web.shell.page import Visit, go, local, who

MOST_TROUBLES: Final = 100
"""Machines in trouble that are written out, worst first; their number counts all."""
TABS: Final = ("open", "taken", "snoozed", "over")
OVER_DAYS: Final = 30
OVER_AT_ONCE: Final = 50
LATEST_US: Final = 10**16
"""An instant that an address may name, in microseconds: beyond the year 2200."""


class TakenOut(NamedTuple):
    """Who took a machine out of service, and since when it is."""

    name: str
    status: str
    since: int


class OutageShown(NamedTuple):
    """`one`: a trouble of it, by which all are acted on; `owners`: names, with how many of its machines each has."""

    lost: Outage
    one: TroubleShown | None
    owners: tuple[tuple[str, int], ...]


async def part_attention(visit: Visit) -> dict[str, Any]:
    found = await attention(visit.context, visit.user, visit.reader.now)
    lost = {rvm_id for one in found.outages for rvm_id in one.ids}
    together = _outages(visit, found)
    just, folded = _snoozed(visit, found, lost)
    alone = [one for one in found.troubles if one.id not in lost or one.cause != "offline"]
    listed = [one for one in [*just, *alone[:MOST_TROUBLES]] if one.id in visit.context.fleet.machines]
    listed.sort(key=lambda one: (one.rank, one.since or 0, one.id))
    machines = {one.id: visit.context.fleet.machines[one.id] for one in (*listed, *folded)}
    recorded = {rvm_id: _of(visit, machine) for rvm_id, machine in machines.items()}
    shown = [*(each for of in recorded.values() for each in of.values()), *(o.one for o in together if o.one)]
    ends = [at for at in (found.until, service.next_undo(shown)) if at is not None]
    return {
        "total": len(await visit.context[FleetDigest].views(visit.user.machines)),
        "calm": {**found.calm, "snoozed": found.resting},
        "outages": together,
        "troubles": listed,
        "unlisted": len(alone) - sum(one not in just for one in listed),
        "troubled": found.alarms,
        "of_hub": found.of_hub,
        "known": {rvm_id: machine.row for rvm_id, machine in machines.items()},
        "recorded": recorded,
        "snoozed": folded,
        "who": await _who_acts(visit, listed),
        "attention_until": min(ends, default=None),
        "may_command": visit.may("status.write"),
        "may_admit": visit.may("enrolment.admit"),
    }


async def part_alarms(visit: Visit) -> dict[str, Any]:
    found = await attention(visit.context, visit.user, visit.reader.now)
    return {"alarms": found.alarms, "alarms_until": found.until}


def _of(visit: Visit, machine: Machine) -> dict[str, TroubleShown]:
    return service.of_machine(visit.context, visit.user, machine, visit.now)


def _snoozed(visit: Visit, found: Digest, lost: set[int]) -> tuple[list[MachineTrouble], list[MachineTrouble]]:
    """Those that this person snoozed a moment ago, which stay where they are as long as that may be taken back; and the
    others."""
    machines = visit.context.fleet.machines
    just: list[MachineTrouble] = []
    others: list[MachineTrouble] = []
    for one in found.snoozed[:MOST_TROUBLES]:
        machine = machines.get(one.id)
        row = None if machine is None else machine.troubles.get(one.cause)
        if row is not None:
            acted = service.shown(visit.context, visit.user, row, visit.now).act == "snooze"
            if acted and one.id in lost and one.cause == "offline":
                continue  # its outage has it
            (just if acted else others).append(one)
    return just, others


def _outages(visit: Visit, found: Digest) -> list[OutageShown]:
    """Without those that were snoozed."""
    quiet = {one.id for one in found.snoozed if one.cause == "offline"}
    together = [_outage(visit, lost) for lost in found.outages]
    return [
        one
        for one in together
        if not quiet.issuperset(one.lost.ids) or (one.one is not None and one.one.act == "snooze")
    ]


def _outage(visit: Visit, lost: Outage) -> OutageShown:
    machines = visit.context.fleet.machines
    of_each = (machines[rvm_id].troubles.get("offline") for rvm_id in lost.ids if rvm_id in machines)
    rows = [row for row in of_each if row is not None]
    owners = Counter(row.owner for row in rows if row.owner is not None)
    by = next((row for row in rows if row.owner_id is None), rows[0] if rows else None)
    one = None if by is None else service.shown(visit.context, visit.user, by, visit.now)
    return OutageShown(lost, one, tuple(owners.most_common()))


async def _who_acts(visit: Visit, listed: Iterable[MachineTrouble]) -> dict[int, TakenOut]:
    """Of machines out of service."""
    found = [visit.context.fleet.machines[one.id] for one in listed]
    resting = [machine for machine in found if machine.effective_status in RESTING]
    if not resting:
        return {}
    names = {str(user.id): user.name for user in await users.all_users(visit.context.store)}
    return {
        machine.id: TakenOut(
            who(visit.reader, machine.row.status_by, names),
            machine.effective_status,
            views.epoch_ms(machine.row.status_since),
        )
        for machine in resting
    }


class OfMachine(NamedTuple):
    """`at_rest`: the status by which somebody took it out of service, "": nobody did."""

    id: int
    name: str
    device_id: str
    site: str
    at_rest: str
    troubles: list[TroubleShown]


class WereOffline(NamedTuple):
    """An outage that is over. `id`: one of its troubles, by which its list is found; `site` "": of several; `owner`
    "": nobody was on it, or more than one."""

    id: int
    gone: int
    site: str
    owner: str
    began_at: int
    ended_at: int


class OverShown(NamedTuple):
    """`of`: the outage whose machines these are; `older`: where the next page begins."""

    of: WereOffline | None
    lines: list[OfMachine | WereOffline]
    older: str | None


async def show_alerts(visit: Visit) -> Response:
    if visit.request.query_params.get("rvm") and _only_machine(visit) is None:
        raise not_found()
    return visit.render("alerts.html", **await part_alerts(visit))


async def part_alerts(visit: Visit) -> dict[str, Any]:
    query = visit.request.query_params
    tab = query.get("tab", "open") if query.get("tab") in TABS else "open"
    found = await attention(visit.context, visit.user, visit.reader.now)
    only = _only_machine(visit)
    together = _outages(visit, found) if only is None else []
    lost = {rvm_id for one in together for rvm_id in one.lost.ids}
    going_on = [one for one in _going_on(visit) if only is None or one.rvm_id == only.id]
    counts = _counts(going_on)
    before = _place(query.get("before", "")) if tab == "over" else None
    outage = row_id(query.get("outage", "")) if tab == "over" else None
    own = [
        one
        for one in going_on
        if _in_tab(one, tab) and not (tab == "open" and one.cause == "offline" and one.rvm_id in lost)
    ]
    over = await _over(visit, before, outage, only) if tab == "over" else OverShown(None, [], None)
    groups: Sequence[OfMachine | WereOffline] = over.lines
    if tab != "over":
        groups = sorted(_by_machine(visit, own), key=_first)
    ends = [at for at in (found.until, service.next_undo(going_on)) if at is not None]
    return {
        "tab": tab, "counts": counts, "alerts_until": min(ends, default=None),
        "groups": groups[:MOST_TROUBLES], "rest": len(groups[MOST_TROUBLES:]), "older": over.older, "days": OVER_DAYS,
        "before": before and _named(before), "outage": outage, "of": over.of,
        "outages": together if tab == "open" else [], "of_hub": found.of_hub if tab == "open" and only is None else (),
        "approvals": _approvals(visit, found, only) if tab == "open" else [], "only": only,
        "holding": {(rvm_id, one.cause) for rvm_id, of in found.causes.items() for one in of},
        "address": _address(tab, outage, only),
    }  # fmt: skip


def tab_counts(visit: Visit) -> dict[str, int]:
    return _counts(_going_on(visit))


def _counts(going_on: Sequence[TroubleShown]) -> dict[str, int]:
    return {name: sum(_in_tab(one, name) for one in going_on) for name in TABS[:3]}


def _going_on(visit: Visit) -> list[TroubleShown]:
    """All that go on and that this person may see."""
    machines = [m for m in visit.context.fleet.machines.values() if m.troubles and visit.user.reaches(m.id)]
    return [one for machine in machines for one in _of(visit, machine).values()]


def _in_tab(one: TroubleShown, tab: str) -> bool:
    """Taken ones stay among the open ones; snoozed ones for as long as that may be taken back."""
    if tab == "open":
        return one.snoozed_until is None or one.act == "snooze"
    if tab == "taken":
        return one.owner is not None
    return tab == "snoozed" and one.snoozed_until is not None


def _only_machine(visit: Visit) -> Machine | None:
    """The one that `?rvm=` names: no other's alerts are shown. None: all are, also when an open page loses it."""
    rvm_id = row_id(visit.request.query_params.get("rvm", ""))
    machine = None if rvm_id is None else visit.context.fleet.machines.get(rvm_id)
    return machine if machine is not None and visit.user.reaches(machine.id) else None


def _address(tab: str, outage: int | None, only: Machine | None) -> str:
    members = {"tab": tab if tab != "open" else None, "rvm": only and only.id, "outage": outage}
    query = urlencode({name: value for name, value in members.items() if value is not None})
    return f"/alerts?{query}" if query else "/alerts"


def _named(place: OverMark) -> str:
    """As an address has it."""
    return f"{to_microseconds(place.ended_at)}-{place.id}"


def _place(text: str) -> OverMark | None:
    moment, _, number = text.partition("-")
    at, found = whole_number(moment, LATEST_US), row_id(number)
    return None if at is None or found is None else OverMark(from_microseconds(at), found)


async def _over(visit: Visit, before: OverMark | None, of: int | None, only: Machine | None) -> OverShown:
    since = visit.now - timedelta(days=OVER_DAYS)
    found = await troubles.over(
        visit.context.store, since, OVER_AT_ONCE + 1, visit.user.machines if only is None else frozenset({only.id}),
        apart=timedelta(milliseconds=TOGETHER_MS), many=MANY, least=rules.AT_FIRST, after=before, of=of,
    )  # fmt: skip
    known = visit.context.fleet.machines
    page = found[:OVER_AT_ONCE]
    alone = [one.row for one in page if (of is not None or one.together is None) and one.row.rvm_id in known]
    lines: list[OfMachine | WereOffline] = [*_by_machine(visit, [_shown(visit, row) for row in alone])]
    if of is None:
        lines += [await _were_offline(visit, one.row.id, one.together, since) for one in page if one.together]
    its = await _were_offline(visit, of, found[0].together, since) if of and found and found[0].together else None
    following = _named(page[-1].place) if len(found) > OVER_AT_ONCE else None
    return OverShown(its, sorted(lines, key=_first), following)


def _shown(visit: Visit, row: TroubleRow) -> TroubleShown:
    return service.shown(visit.context, visit.user, row, visit.now)


async def _were_offline(visit: Visit, number: int, together: Together, since: datetime) -> WereOffline:
    reached, machines = visit.user.machines, visit.context.fleet.machines
    gone = await troubles.went_between(visit.context.store, together.first_at, together.last_at, since, reached)
    sites = {machines[rvm_id].row.location_description or "" for rvm_id, _ in gone if rvm_id in machines}
    owners = {owner or "" for _, owner in gone}
    return WereOffline(
        number, together.size, _only(sites), _only(owners), views.epoch_ms(together.first_at),
        views.epoch_ms(together.ended_at),
    )  # fmt: skip


def _only(found: set[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""


def _by_machine(visit: Visit, found: Iterable[TroubleShown]) -> list[OfMachine]:
    """Those of one machine together, worst first; of those that are over the newest."""
    groups: dict[int, list[TroubleShown]] = {}
    for one in found:
        groups.setdefault(one.rvm_id, []).append(one)
    return [_of_one(visit.context.fleet.machines[rvm_id], of) for rvm_id, of in groups.items()]


def _of_one(machine: Machine, found: Iterable[TroubleShown]) -> OfMachine:
    status, row = machine.effective_status, machine.row
    at_rest = status if status in RESTING else ""
    site = row.location_description or ""
    return OfMachine(machine.id, machine.name, row.device_id, site, at_rest, sorted(found, key=_order))


def _first(line: OfMachine | WereOffline) -> tuple[int, int, int]:
    return (0, -line.ended_at, -line.id) if isinstance(line, WereOffline) else _order(line.troubles[0])


def _order(one: TroubleShown) -> tuple[int, int, int]:
    if one.ended_at is not None:
        return (0, -one.ended_at, -one.id)
    return (RANKS.get(one.cause, len(RANKS)), one.began_at, one.id)


def _approvals(visit: Visit, found: Digest, only: Machine | None) -> list[tuple[MachineTrouble, Machine]]:
    machines = visit.context.fleet.machines if only is None else {only.id: only}
    waiting = [one for one in found.troubles if one.cause == "approval" and one.id in machines]
    return [(one, machines[one.id]) for one in waiting]


async def act(visit: Visit) -> Response:
    """A button at a trouble. Two at once: the second is told who was first, where the button was."""
    form, what = visit.form, visit.request.path_params["what"]
    call = visit.call()
    row = await api.named(call, open_only=what != "note" and not form.get("outage"))
    try:
        rows = await api.rows_of(call, outage=True) if form.get("outage") else [row]
        await api.each(rows, lambda one: _do(call, one, what, form))
    except Problem as refused:
        if refused.code != "held":
            raise
    return go(f"{local(form.get('back'))}#t-{row.id}")


async def _do(call: Call, row: TroubleRow, what: str, form: Mapping[str, str]) -> TroubleRow:
    if what == "take":
        return await api.take_row(call, row, row.owner_id is not None and form.get("seen") == str(row.owner_id))
    if what == "release":
        return await api.release_row(call, row)
    if what == "snooze":
        wanted = {"choice": form.get("choice", "")} | ({"note": note} if (note := form.get("note", "").strip()) else {})
        asked = validate(api.Snoozing, wanted)
        return await api.snooze_row(call, row, asked.choice, asked.note)
    if what == "unsnooze":
        return await api.unsnooze_row(call, row)
    if what == "note":
        return await api.note_row(call, row, validate(api.NoteBody, {"note": form.get("note", "").strip()}).note)
    if what == "undo":
        return await api.undo_row(call, row)
    raise not_found()


async def to_alerts(_visit: Visit) -> Response:
    return go("/alerts")
