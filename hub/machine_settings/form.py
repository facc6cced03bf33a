"""Fills the settings form of a machine or the fleet, and writes it by the API's operation. A refused form comes back
as typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from dashboard import refusals, settings
from dashboard.reader import Reader
from dashboard.settings import UNITS, SettingRow, amount, seen_of, text_of
from db.engine.store import Store
from db.queries.events import EventFilters, list_events
from db.records import EventRow
from hub.machine_settings import api
from hub.machine_settings.rules import SettingsRequest
from hub.model import views
from hub.model.access import role_needed
from hub.model.actors import whole_number
from hub.model.effective_settings import OTHER, DesiredSettings, Values
from hub.model.machine import Machine
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem, Text, translator
from hub.web.shell.page import Visit
from protocol import configuration as table
from protocol.limits import MAX_INTEGER

CODE: Final = "config.changed"
LOOK_BACK: Final = 300

Rows = dict[str, list[SettingRow]]
Changed = Mapping[str, tuple[str, int, Any]]
"""By key: who, when (ms), the value before."""


def kind_of(key: str, value: Any) -> str:
    setting = table.SETTINGS.get(key)
    return table.kind_of(value) if setting is None else setting.kind


def rows_of(
    reader: Reader,
    values: Values,
    own: Values,
    behind: Values,
    behind_from: Callable[[str], str],
    changed: Changed,
    refused: Mapping[str, str],
) -> Rows:
    """By block, in the table's order, free keys by name. `behind`: what holds without `own`."""
    found: Rows = {block: [] for block in (*table.BLOCKS, OTHER)}
    free = sorted(key for key in values if table.is_free(key))
    for key in (*table.SETTINGS, *free):
        setting = table.SETTINGS.get(key)
        kind, is_own = kind_of(key, values[key]), key in own
        text = text_of(own.get(key, values[key]), kind)
        bounded = setting is not None and kind in ("whole", "number")
        row = SettingRow(
            key=key, kind=kind, text=text, own=is_own, seen=seen_of(is_own, text),
            unit=UNITS.get(key, ""),
            bounds=(setting.least, setting.most) if setting and bounded else None,
            inherited=shown(reader, key, behind[key]) if key in behind else None, inherited_from=behind_from(key),
            refused=refusals.why(reader, refused[key]) if key in refused else "",
        )  # fmt: skip
        if key in changed:
            who, at, before = changed[key]
            row.changed = (who, at, "" if before is None else shown(reader, key, before))
        found[OTHER if setting is None else setting.block].append(row)
    return found


def shown(reader: Reader, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return reader.t("settings.on" if value else "settings.off")
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value) or reader.t("settings.none")
    if isinstance(value, (int, float)):
        return amount(reader, value, UNITS.get(key, ""))
    return str(value) or reader.t("settings.none")


async def changed_last(store: Store, rvm_id: int | None) -> Changed:
    # The fleet's own apart from the machines', however many those are, and by the index on (machine, time).
    writes = await list_events(store, EventFilters(of="fleet", codes=[CODE]), limit=LOOK_BACK)
    if rvm_id is not None:
        writes += await list_events(store, EventFilters(rvm_ids=[rvm_id], codes=[CODE]), limit=LOOK_BACK)
    return newest_of(sorted(writes, key=lambda event: (event.at, event.id), reverse=True))


def newest_of(writes: Iterable[EventRow]) -> Changed:
    found: dict[str, tuple[str, int, Any]] = {}
    for event in writes:
        for key in event.after or {}:
            found.setdefault(key, (event.actor, views.epoch_ms(event.at), (event.before or {}).get(key)))
    return found


ACTIONS: Final = {"machine": "config.write", "fleet": "fleet_config.write"}
NOTES: Final = {"saved": "good", "renamed": "good", "renamed_back": "good", "released": "good", "nothing": "warn"}


@dataclass
class FormState:
    """`form`: as sent and refused, `faults`: why, by key; `stale`: somebody else saved first."""

    status: int = 200
    note: tuple[str, str] | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    stale: bool = False


def note_of(visit: Visit, version: int) -> tuple[str, str] | None:
    notice = visit.request.query_params.get("notice", "")
    return (NOTES[notice], visit.reader.t(f"settings.{notice}", n=version)) if notice in NOTES else None


def proposed(visit: Visit) -> FormState | None:
    """A limit of all machines that another page leads here with, in its field and not saved; None: none is."""
    query, fleet = visit.request.query_params, visit.context.fleet.settings
    key, text = query.get("set", ""), query.get("value", "")
    setting = table.SETTINGS.get(key)
    if setting is None or setting.kind != "number" or not visit.may(ACTIONS["fleet"]):
        return None
    value = settings.value_of(text, setting.kind)
    if not isinstance(value, (int, float)) or not setting.least <= value <= setting.most:
        return None
    is_own = key in fleet.written.values
    seen = seen_of(is_own, text_of(fleet.written.values.get(key, fleet.shared.values[key]), setting.kind))
    form = {settings.VALUE + key: text, settings.ORIGIN + key: "own", settings.SEEN + key: seen}
    return FormState(note=("warn", visit.reader.t("settings.proposed")), form=form)


class FormScope(NamedTuple):
    """Whose settings a form writes: those of the `fleet`, or of the `machine` with the id `rvm`. `version`: that of the
    values shown; `action`: the form's address."""

    scope: str
    version: int
    action: str
    may_edit: bool
    rvm: int | None = None


def values_of(
    visit: Visit, rows: Rows, state: FormState, scope: FormScope, who: Callable[[str], str]
) -> dict[str, Any]:
    """What the form's template shows. `who` names an actor: a conflict says whose change it was."""
    reader = visit.reader
    everything = [row for listed in rows.values() for row in listed]
    for row in everything:
        row.merge(state.form)
        text = shown(reader, row.key, settings.value_of(row.seen[1:], row.kind))
        own = row.seen.startswith("1")
        writer = who(row.changed[0]) if row.changed else reader.t("settings.somebody")
        row.now = reader.t("settings.meanwhile" if own else "settings.meanwhile.gone", value=text, who=writer)
        row.fault = state.faults.get(row.key, "")
    adding = {name: state.form.get(f"add.{name}", "") for name in ("key", "kind", "value")}
    known = {row.key for row in everything}
    adding["fault"] = next((why for key, why in state.faults.items() if key not in known), "")
    writes = [row.changed for row in everything if row.changed]
    by = who(max(writes, key=lambda write: write[1])[0]) if writes else reader.t("settings.somebody")
    needs = role_needed(ACTIONS[scope.scope])
    f = {**scope._asdict(), "by": by, "needs": needs, "adding": adding, "notice": ""}
    here = any(row.clash for row in everything)
    stale = reader.t("settings.stale" if here else "settings.stale.elsewhere", who=by)
    return {
        "rows": rows,
        "f": f,
        "notice": ("bad", stale) if state.stale else state.note,
        "amount": lambda value, unit: amount(reader, value, unit if unit == "s" else ""),
    }


def written(scope: DesiredSettings) -> dict[str, Any]:
    return {"written": None if scope.at is None or scope.by is None else (scope.by, views.epoch_ms(scope.at))}


async def save(visit: Visit, found: Machine | None) -> FormState | str:
    """The address's note when written, else what to show."""
    form, t = visit.form, visit.reader.t
    held = visit.context.fleet.settings.shared.values if found is None else found.effective_settings.values
    try:
        permit(visit.user, ACTIONS["fleet" if found is None else "machine"], None if found is None else found.id)
        values = requested(form, held)
        if not values:
            return "nothing"
        faults = _no_numbers(visit, values, held)
        if faults:
            return FormState(422, ("bad", t("settings.faults")), form, faults)
        version = whole_number(form.get("version", ""), MAX_INTEGER)
        await api.write(visit.call(machine=found), found, SettingsRequest(values, version))
    except Problem as refused:
        if refused.kind == "conflict":
            return FormState(409, None, form, stale=True)
        faults = {key.removeprefix("values."): _sentence(visit, whys) for key, whys in (refused.errors or {}).items()}
        return FormState(
            refused.status, ("bad", t("settings.faults") if faults else visit.sentence(refused)), form, faults
        )
    return "saved"


def _no_numbers(visit: Visit, values: Mapping[str, Any], held: Values) -> dict[str, str]:
    form, t = visit.form, visit.reader.t
    typed = {key: (form.get(settings.VALUE + key, ""), kind_of(key, value)) for key, value in held.items()}
    typed[settings.plain(form.get("add.key", ""))] = (form.get("add.value", ""), form.get("add.kind", "text"))
    whys = {
        key: settings.no_number(*typed[key], visit.reader.language)
        for key, value in values.items()
        if value is not None
    }
    return {key: t(why[0], **why[1]) for key, why in whys.items() if why is not None}


def _sentence(visit: Visit, whys: Sequence[Text]) -> str:
    text = " ".join(translator(visit.reader.language)(why) for why in whys)
    return text[:1].upper() + text[1:]


def requested(form: Mapping[str, str], held: Values) -> dict[str, Any]:
    """Fields that differ from the form as drawn, and the added key."""
    found = settings.requested(form, {key: kind_of(key, value) for key, value in held.items()})
    added = settings.plain(form.get("add.key", ""))
    if added:
        found[added] = settings.value_of(form.get("add.value", ""), form.get("add.kind", "text"))
    return found
