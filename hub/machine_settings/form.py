"""The settings form of a machine or of the fleet: what it shows, and what becomes of what somebody sent.

Writes by the operation of the API. A refused form comes back with all that was typed; after somebody else's write it
also shows what is now, beside what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dashboard import settings
from hub.machine_settings import api
from hub.machine_settings import rows as settings_rows
from hub.machine_settings.rows import Rows
from hub.machine_settings.rules.writes import Wish
from hub.model import views
from hub.model.access import role_needed
from hub.model.effective_settings import DesiredSettings, Values
from hub.model.machine import Machine
from hub.model.row_id import whole_number
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem, Text, sayer
from hub.web.shell.page import Visit
from protocol.limits import MAX_INTEGER

ACTIONS: Final = {"machine": "config.write", "fleet": "fleet_config.write"}
NOTES: Final = {"saved": "good", "renamed": "good", "released": "good", "nothing": "warn"}


@dataclass
class Said:
    """What the page tells beside the settings themselves. `form` is what was sent, when it was not taken, and `faults`
    why not, by key."""

    status: int = 200
    note: tuple[str, str] | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


def note_of(visit: Visit, version: int) -> tuple[str, str] | None:
    """What the address says has just been done."""
    said = visit.request.query_params.get("said", "")
    return (NOTES[said], visit.reader.t(f"settings.{said}", n=version)) if said in NOTES else None


def values_of(
    visit: Visit, rows: Rows, said: Said, *, scope: str, version: int, action: str, address: str, may_edit: bool
) -> dict[str, Any]:
    """The values `settings_form.html` takes."""
    reader = visit.reader
    everything = [row for listed in rows.values() for row in listed]
    for row in everything:
        if row.merge(said.form):
            text = settings_rows.shown(reader, row.key, settings.value_of(row.seen[1:], row.kind))
            own = row.seen.startswith("1")
            row.now = reader.t("settings.meanwhile", value=text) if own else reader.t("settings.meanwhile.gone")
        row.fault = said.faults.get(row.key, "")
    adding = {name: said.form.get(f"add.{name}", "") for name in ("key", "kind", "value")}
    known = {row.key for row in everything}
    adding["fault"] = next((why for key, why in said.faults.items() if key not in known), "")
    f = {
        "scope": scope, "version": version, "action": action, "address": address, "may_edit": may_edit,
        "needs": role_needed(ACTIONS[scope]), "adding": adding, "said": "",
    }  # fmt: skip
    return {
        "rows": rows,
        "f": f,
        "said": said.note,
        "amount": lambda value, unit: settings_rows.amount(reader, value, unit if unit == "s" else ""),
    }


def written(scope: DesiredSettings) -> dict[str, Any]:
    """Who wrote last, and when."""
    return {"written": None if scope.at is None or scope.by is None else (scope.by, views.epoch_ms(scope.at))}


async def save(visit: Visit, found: Machine | None) -> Said | str:
    """Write what the form changes; the word for the address when it is done, else what to tell."""
    form, t = visit.form, visit.reader.t
    held = visit.context.fleet.settings.shared.values if found is None else found.effective_settings.values
    try:
        permit(visit.user, ACTIONS["fleet" if found is None else "machine"], None if found is None else found.id)
        wished = wishes(form, held)
        if not wished:
            return "nothing"
        faults = _no_numbers(visit, wished, held)
        if faults:
            return Said(422, ("bad", t("settings.faults")), form, faults)
        await _write(visit, found, wished, form.get("version", ""))
    except Problem as refused:
        if refused.kind == "conflict":
            return Said(409, ("bad", t("settings.stale")), form)
        faults = {key.removeprefix("values."): _said(visit, whys) for key, whys in (refused.errors or {}).items()}
        return Said(refused.status, ("bad", t("settings.faults") if faults else visit.say(refused)), form, faults)
    return "saved"


def _no_numbers(visit: Visit, wished: Mapping[str, Any], held: Values) -> dict[str, str]:
    """The fields that shall hold a number and hold none, each with why."""
    form, t = visit.form, visit.reader.t
    typed = {
        key: (form.get(settings.VALUE + key, ""), settings_rows.kind_of(key, value)) for key, value in held.items()
    }
    typed[settings.plain(form.get("add.key", ""))] = (form.get("add.value", ""), form.get("add.kind", "text"))
    whys = {
        key: settings.no_number(*typed[key], visit.reader.language)
        for key, value in wished.items()
        if value is not None
    }
    return {key: t(why[0], **why[1]) for key, why in whys.items() if why is not None}


def _said(visit: Visit, whys: Sequence[Text]) -> str:
    said = " ".join(sayer(visit.reader.language)(why) for why in whys)
    return said[:1].upper() + said[1:]


def wishes(form: Mapping[str, str], held: Values) -> dict[str, Any]:
    """What the form changes: the fields that differ from what it was made from, and the key it adds."""
    found = settings.wishes(form, {key: settings_rows.kind_of(key, value) for key, value in held.items()})
    added = settings.plain(form.get("add.key", ""))
    if added:
        found[added] = settings.value_of(form.get("add.value", ""), form.get("add.kind", "text"))
    return found


async def _write(visit: Visit, found: Machine | None, values: Mapping[str, Any], version: str) -> None:
    await api.write(visit.call(machine=found), found, Wish(values, whole_number(version, MAX_INTEGER)))
