"""`/machines/{id}/settings`: what the machine is called, what it is, and every setting it runs or shall run."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dashboard.applied import applied
from dashboard.reader import Reader
from db.errors import Conflict
from hub.machine_settings import form as settings_form
from hub.machine_settings import rows as settings_rows
from hub.machine_settings.form import Said
from hub.machines import api, tab
from hub.model.effective_settings import UNWRITTEN
from hub.model.machine import Machine
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go

MAX_FACTS = 12
MAX_FACT = 120


async def show_settings(visit: Visit) -> Response:
    found = visit.machine()
    return await _page(visit, found, Said(note=settings_form.note_of(visit, found.effective_settings.version)))


async def save_settings(visit: Visit) -> Response:
    found = visit.machine()
    said = await settings_form.save(visit, found)
    return (
        go(f"/machines/{found.id}/settings?said={said}") if isinstance(said, str) else await _page(visit, found, said)
    )


async def to_settings(visit: Visit) -> Response:
    return go(f"/machines/{visit.machine().id}/settings")


async def rename(visit: Visit) -> Response:
    """Name and site, by the operation of the API."""
    found, form = visit.machine(), visit.form
    given = {"name": form.get("name", "").strip(), "site": form.get("location_description", "").strip()}
    wanted = {"name": given["name"], "location_description": given["site"] or None}
    try:
        if not visit.may("machine.manage"):
            return await _page(visit, found, Said(403), given)
        await api.edit_machine(visit.call(validate(api.MachinePatch, wanted), machine=found))
    except Problem as refused:
        return await _page(visit, found, Said(refused.status, ("bad", visit.say(refused))), given)
    except Conflict:
        return await _page(visit, found, Said(409, ("bad", visit.reader.t("fault.name_taken"))), given)
    return go(f"/machines/{found.id}/settings?said=renamed")


async def _page(visit: Visit, found: Machine, said: Said, given: dict[str, str] | None = None) -> Response:
    reader, fleet, own, local = (
        visit.reader,
        visit.context.fleet.settings,
        found.desired_settings,
        found.reported_settings,
    )
    changed = await settings_rows.changed_last(visit.context.store, found.id)
    newest = fleet.newest_scope(own)
    head = await tab.head(visit, found, *(who for who, _, _ in changed.values()), newest.by or "")
    rows = settings_rows.rows_of(
        reader,
        found.effective_settings.values,
        own.values,
        fleet.of(UNWRITTEN, local).values,
        lambda key: fleet.origin(key, UNWRITTEN, local),
        changed,
        head["m"]["config_errors"] or {},
    )
    form = settings_form.values_of(
        visit, rows, said, scope="machine", version=found.effective_settings.version,
        action=f"/machines/{found.id}/settings", address=f"/api/v2/rvms/{found.id}/config",
        may_edit=visit.may("config.write", found.id),
    )  # fmt: skip
    return visit.render(
        "machine_settings.html",
        said.status,
        m=head["m"],
        head_of=head,
        given=given or {"name": found.name, "site": found.location_description or ""},
        may_rename=visit.may("machine.manage"),
        hardware=hardware(visit, found),
        applied=applied(head["m"], reader),
        **settings_form.written(newest),
        **form,
    )


def hardware(visit: Visit, found: Machine) -> list[tuple[str, str]]:
    """What the machine told of itself, whatever it is."""
    t = visit.reader.t
    facts: list[tuple[str, Any]] = [(t("fact.device_id"), found.device_id), (t("fact.agent"), found.agent_version)]
    known = (found.hardware or {}).items()
    facts += [(visit.reader.said("fact", name), _fact(visit.reader, name, value)) for name, value in known]
    plain = [(name, str(value)) for name, value in facts if isinstance(value, (str, int, float)) and value != ""]
    return [(name[:MAX_FACT], value[:MAX_FACT]) for name, value in plain[:MAX_FACTS]]


def _fact(reader: Reader, name: str, value: Any) -> Any:
    """Bytes in the unit memory is sold in."""
    amount = name == "memory_bytes" and isinstance(value, int) and not isinstance(value, bool)
    return f"{reader.number(value / 2**30, 1)} GiB" if amount else value
