"""/machines/{id}/settings (name, facts, settings) and /admin/settings (what all machines inherit)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from dashboard import site_map
from dashboard.reader import Reader
from dashboard.settings import applied
from db.errors import Conflict
from db.queries import users
from db.queries.events import EventFilters, list_events
from hub.machine_settings import form as settings_form
from hub.machine_settings.form import FormScope, FormState
from hub.machines import api, tab
from hub.machines.rules import before_edit
from hub.model import views
from hub.model.actors import user as user_actor
from hub.model.backups import unable
from hub.model.effective_settings import UNWRITTEN
from hub.model.machine import Machine, typed_tags
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem, Text, one_wrong
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, who

MAX_FACTS = 12
MAX_FACT = 120
_FIELDS: Final = {"name": "name", "site": "location_description", "tags": "tags", "place": "place"}


async def show_settings(visit: Visit) -> Response:
    found = visit.machine()
    state = FormState(note=settings_form.note_of(visit, found.effective_settings.version))
    is_renamed = visit.request.query_params.get("notice") == "renamed"
    return await _page(visit, found, state, undo=is_renamed and await _before_edit(visit, found) is not None)


async def save_settings(visit: Visit) -> Response:
    found = visit.machine()
    saved = await settings_form.save(visit, found)
    return (
        go(f"/machines/{found.id}/settings?notice={saved}")
        if isinstance(saved, str)
        else await _page(visit, found, saved)
    )


async def to_settings(visit: Visit) -> Response:
    return go(f"/machines/{visit.machine().id}/settings")


async def rename(visit: Visit) -> Response:
    found, form = visit.machine(), visit.form
    if form.get("undo"):
        return await _undo_rename(visit, found)
    given = {name: form.get(field, "").strip() for name, field in _FIELDS.items()}
    wanted: dict[str, Any] = {"name": given["name"], "location_description": given["site"] or None}
    if "tags" in form:
        wanted["tags"] = typed_tags(given["tags"])
    try:
        if "place" in form:
            wanted |= _place(given["place"])
        if not visit.may("machine.manage"):
            return await _page(visit, found, FormState(403), given)
        await api.edit_machine(visit.call(validate(api.MachinePatch, wanted), machine=found))
    except Problem as refused:
        return await _page(visit, found, FormState(refused.status, ("bad", visit.sentence(refused))), given)
    except Conflict:
        return await _page(visit, found, FormState(409, ("bad", visit.reader.t("fault.name_taken"))), given)
    return go(f"/machines/{found.id}/settings?notice=renamed")


def _place(text: str) -> dict[str, float | None]:
    if not text:
        return {"latitude": None, "longitude": None}
    place = site_map.typed(text)
    if place is None:
        raise one_wrong("place", "expect.coordinates")
    return {"latitude": place[0], "longitude": place[1]}


async def _undo_rename(visit: Visit, found: Machine) -> Response:
    permit(visit.user, "machine.manage", found.id)
    before = await _before_edit(visit, found)
    if before is None:
        raise Problem("conflict", Text("undo_over"))
    try:
        await api.edit_machine(visit.call(validate(api.MachinePatch, before), machine=found))
    except Conflict as taken:
        raise Problem("conflict", Text("taken.name")) from taken
    return go(f"{_address(found)}?notice=renamed_back")


async def _before_edit(visit: Visit, found: Machine) -> dict[str, Any] | None:
    """What the person has just edited, as it was."""
    asked = EventFilters(rvm_ids=[found.id], codes=["machine.edited"])
    edits = await list_events(visit.context.store, asked, limit=1)
    return before_edit(found, edits[0], visit.user.actor, visit.now) if edits else None


async def _page(
    visit: Visit, found: Machine, state: FormState, given: dict[str, str] | None = None, *, undo: bool = False
) -> Response:
    head = await tab.head(visit, found)
    values = {**await part_applied(visit), **await _form(visit, found, state)}
    return visit.render(
        "machine_settings.html", state.status, **values | {"m": head["m"]}, head_of=head,
        given=given or {
            "name": found.name, "site": found.row.location_description or "", "tags": ", ".join(found.row.tags or ()),
            "place": site_map.place_words(head["m"]),
        },
        may_rename=visit.may("machine.manage"), hardware=hardware(visit, found), undo=undo,
    )  # fmt: skip


async def part_form(visit: Visit) -> dict[str, Any]:
    return await _form(visit, visit.machine(), FormState())


async def part_applied(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    view = views.machine_view(found, times="ms")
    scope = settings_form.written(visit.context.fleet.settings.newest_scope(found.desired_settings))
    by = scope["written"]
    return {
        "m": view,
        "f": {"version": found.effective_settings.version, "action": _address(found)},
        "applied": applied(view, visit.reader),
        "by": None if by is None else (await tab.naming(visit, found, {by[0]}))(by[0]),
        **scope,
    }


def _address(found: Machine) -> str:
    return f"/machines/{found.id}/settings"


async def _form(visit: Visit, found: Machine, state: FormState) -> dict[str, Any]:
    fleet, own, local = visit.context.fleet.settings, found.desired_settings, found.reported_settings
    changed = await settings_form.changed_last(visit.context.store, found.id)
    rows = settings_form.rows_of(
        visit.reader, found.effective_settings.values, own.values, fleet.of(UNWRITTEN, local).values,
        lambda key: fleet.origin(key, UNWRITTEN, local), changed, found.row.config_errors or {},
    )  # fmt: skip
    naming = await tab.naming(visit, found, {who for who, _, _ in changed.values()})
    may_edit = visit.may("config.write", found.id)
    scope = FormScope("machine", found.effective_settings.version, _address(found), may_edit, found.id)
    values = settings_form.values_of(visit, rows, state, scope, naming)
    return values | {"who": naming, "no_backups": unable(found)}


def hardware(visit: Visit, found: Machine) -> list[tuple[str, str]]:
    t = visit.reader.t
    facts: list[tuple[str, Any]] = [
        (t("fact.device_id"), found.row.device_id),
        (t("fact.agent"), found.row.agent_version),
    ]
    known = (found.row.hardware or {}).items()
    facts += [(visit.reader.text_of("fact", name), _fact(visit.reader, name, value)) for name, value in known]
    if (ends := found.authority_ends_at) is not None:
        facts.append(
            (t("fact.authority_until"), visit.reader.day(views.epoch_ms(ends), tab.zone_of(visit.reader, found)))
        )
    plain = [(name, str(value)) for name, value in facts if isinstance(value, (str, int, float)) and value != ""]
    return [(name[:MAX_FACT], value[:MAX_FACT]) for name, value in plain[:MAX_FACTS]]


def _fact(reader: Reader, name: str, value: Any) -> Any:
    if name == "privileges" and isinstance(value, str):
        return reader.text_of(name, value)
    amount = name == "memory_bytes" and isinstance(value, int) and not isinstance(value, bool)
    return f"{reader.number(value / 2**30, 1)} GiB" if amount else value


FLEET_ADDRESS: Final = "/admin/settings"


@dataclass
class Spread:
    """Machines that refused some of what is desired, else run it, are away, lag: each once."""

    total: int = 0
    same: int = 0
    away: int = 0
    behind: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)  # Bound: one page's, a machine each


async def show_fleet_settings(visit: Visit) -> Response:
    note = settings_form.note_of(visit, visit.context.fleet.settings.written.version)
    return await _fleet_page(visit, settings_form.proposed(visit) or FormState(note=note))


async def save_fleet_settings(visit: Visit) -> Response:
    saved = await settings_form.save(visit, None)
    return go(f"/admin/settings?notice={saved}") if isinstance(saved, str) else await _fleet_page(visit, saved)


async def _fleet_page(visit: Visit, state: FormState) -> Response:
    values = {**await part_fleet_applied(visit), **await _fleet_form(visit, state)}
    return visit.render("fleet_settings.html", state.status, **values)


async def part_fleet_form(visit: Visit) -> dict[str, Any]:
    return await _fleet_form(visit, FormState())


async def part_fleet_applied(visit: Visit) -> dict[str, Any]:
    scope = visit.context.fleet.settings.written
    return {
        "f": {"version": scope.version, "action": FLEET_ADDRESS},
        "by": (await _naming(visit, {scope.by or ""}))(scope.by or "system"),
        "spread": spread(m for m in visit.context.fleet.machines.values() if visit.user.reaches(m.id)),
        **settings_form.written(scope),
    }


async def _fleet_form(visit: Visit, state: FormState) -> dict[str, Any]:
    fleet = visit.context.fleet.settings
    changed = await settings_form.changed_last(visit.context.store, None)
    rows = settings_form.rows_of(
        visit.reader, fleet.shared.values, fleet.written.values, fleet.base, lambda _: "default", changed, {}
    )
    naming = await _naming(visit, {actor for actor, _, _ in changed.values()})
    scope = FormScope("fleet", fleet.written.version, FLEET_ADDRESS, visit.may("fleet_config.write"))
    values = settings_form.values_of(visit, rows, state, scope, naming)
    return values | {"who": naming, "no_backups": None}


async def _naming(visit: Visit, actors: set[str]) -> Callable[[str], str]:
    everybody = await users.all_users(visit.context.store)
    names = {str(user.id): user.name for user in everybody if user_actor(user.id) in actors}
    return lambda actor: who(visit.reader, actor, names)


def spread(machines: Iterable[Machine]) -> Spread:
    found = Spread()
    for machine in machines:
        found.total += 1
        if machine.row.config_errors:
            found.errors.append((machine.id, machine.name))
        elif machine.row.config_version >= machine.effective_settings.version:
            found.same += 1
        elif machine.connection in ("offline", "never"):
            found.away += 1
        else:
            found.behind += 1
    return found
