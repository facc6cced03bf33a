"""Checks writes to settings, and reads what machines report of theirs. `None`: inherit again. The version in the
database decides whether somebody else wrote meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from db.records import CONFIG_VERSION, FLEET, CounterRow, FleetSettingsRow, MachineRow, MachineSettingsRow
from hub.model import actors
from hub.model.actors import Actor
from hub.model.budgets import too_large
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.effective_settings import (
    UNREPORTED,
    CommonSettings,
    DesiredSettings,
    EffectiveSettings,
    ReportedSettings,
    Values,
    effective_of,
)
from hub.model.machine import Machine
from protocol import codec
from protocol import configuration as table
from protocol.configuration import Value, WrongValueError
from protocol.limits import MAX_INTEGER, MAX_MESSAGE_BYTES
from protocol.messages import Config

RESERVED: Final = frozenset({"version", "values", "applied"})
_WELCOME_BYTES: Final = 1024


class SettingsRequest(NamedTuple):
    """Names as the caller wrote them; `version`: the one seen, None: any."""

    values: Mapping[str, Any]
    version: int | None = None


class StaleError(Exception):
    """Somebody else wrote; `current`: the version now."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the version is {current} now")
        self.current = current


class WrongSettingsError(Exception):
    """By the caller's names. Codes beside the table's: reserved, twice, near, too_many_free, too_large."""

    def __init__(self, errors: Mapping[str, WrongValueError]) -> None:
        super().__init__(", ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


def write_machine(
    fleet: CommonSettings,
    rvm_id: int,
    own: DesiredSettings,
    request: SettingsRequest,
    actor: Actor,
    now: datetime,
    local: ReportedSettings = UNREPORTED,
) -> list[Change]:
    """[] when nothing changes. Raises StaleError, WrongSettingsError. `local`: what the machine's own file sets."""
    behind = ReportedSettings(local.values)
    before = fleet.of(own, behind)
    _check_version(request, before.version)
    held = {**local.values, **own.values, **fleet.written.values}
    wanted = _checked(request, held.get)
    values = _applied(own.values, wanted)
    if values == own.values:
        return []
    written = DesiredSettings(values, fleet.newest + 1, now, actor)
    after = effective_of(fleet.base, fleet.written, written, behind)
    _check_size(request, after)
    changed = _differing(own.values, wanted)
    return _changes(rvm_id, own, written, changed, before.values, after.values, actor, now)


def write_fleet(
    fleet: CommonSettings, owns: Iterable[DesiredSettings], request: SettingsRequest, actor: Actor, now: datetime
) -> list[Change]:
    """`owns`: the machines' own, which must still fit. Otherwise as `write_machine`."""
    _check_version(request, fleet.written.version)
    own = [scope for scope in owns if scope.values]

    def held(key: str) -> Value | None:
        there = (scope.values[key] for scope in own if key in scope.values)
        return fleet.written.values.get(key) if key in fleet.written.values else next(there, None)

    wanted = _checked(request, held)
    values = _applied(fleet.written.values, wanted)
    if values == fleet.written.values:
        return []
    written = DesiredSettings(values, fleet.newest + 1, now, actor)
    after = effective_of(fleet.base, written)
    _check_size(request, after)
    if any(table.is_free(key) for key, value in wanted.items() if value is not None) or _size(after) > _ROOM // 2:
        for scope in own:
            _check_size(request, effective_of(fleet.base, written, scope))
    changed = _differing(fleet.written.values, wanted)
    return _changes(None, fleet.written, written, changed, fleet.shared.values, after.values, actor, now)


def _check_version(request: SettingsRequest, current: int) -> None:
    if request.version is not None and request.version != current:
        raise StaleError(current)


def _checked(request: SettingsRequest, held: Callable[[str], Value | None]) -> dict[str, Value | None]:
    """By real keys; `held`: what a free key holds now, whose kind stays."""
    errors: dict[str, WrongValueError] = {}
    found: dict[str, Value | None] = {}
    for name, value in request.values.items():
        try:
            key = _key(name, found)
            found[key] = None if value is None else _value(key, value, held(key))
        except WrongValueError as wrong:  # noqa: PERF203 - all that is wrong is named, not only the first
            errors[name] = wrong
    if errors:
        raise WrongSettingsError(errors)
    return found


def _key(name: str, found: Mapping[str, Value | None]) -> str:
    key = table.key_of(name)
    if key in RESERVED:
        raise WrongValueError("reserved")
    if key in found:
        raise WrongValueError("twice")
    return key


def _value(key: str, value: Any, now: Value | None) -> Value:
    near = table.slip_of(key) if now is None else None
    if near is not None:
        raise WrongValueError("near", near=near)
    return table.checked(key, value, now)


def _applied(values: Values, wanted: Mapping[str, Value | None]) -> dict[str, Value]:
    kept = {key: value for key, value in values.items() if key not in wanted}
    return kept | {key: value for key, value in wanted.items() if value is not None}


def _differing(values: Values, wanted: Mapping[str, Value | None]) -> list[str]:
    return [key for key, value in wanted.items() if values.get(key) != value]


_ROOM: Final = MAX_MESSAGE_BYTES - _WELCOME_BYTES


def _size(found: EffectiveSettings) -> int:
    return len(codec.encode(Config(version=MAX_INTEGER, values=dict(found.written))).encode())


def _check_size(request: SettingsRequest, found: EffectiveSettings) -> None:
    """A machine gets all that is desired in one message."""
    free = [key for key in found.written if table.is_free(key)]
    named = next((name for name, value in request.values.items() if value is not None), "values")
    if len(free) > table.MAX_FREE_KEYS:
        raise WrongSettingsError({named: WrongValueError("too_many_free", most=table.MAX_FREE_KEYS)})
    if _size(found) > _ROOM:
        raise WrongSettingsError({named: WrongValueError("too_large", most=_ROOM)})


def _changes(
    rvm_id: int | None,
    old: DesiredSettings,
    new: DesiredSettings,
    keys: list[str],
    before: Values,
    after: Values,
    by: Actor,
    at: datetime,
) -> list[Change]:
    params: dict[str, Any] = {"scope": "fleet" if rvm_id is None else "machine", "version": new.version}
    inherited = [key for key in keys if key not in new.values]
    if inherited:
        params["inherited"] = inherited
    return [
        *replacing(rvm_id, new, old.version),
        EventHappened(
            at=at, code="config.changed", actor=by, rvm_id=rvm_id, params=params,
            before={key: before.get(key) for key in keys}, after={key: after.get(key) for key in keys},
        ),
    ]  # fmt: skip


def replacing(rvm_id: int | None, new: DesiredSettings, version_before: int = 0) -> list[Change]:
    """Of the fleet (None) or a machine. Conflict `version`: it is not `version_before` (0: no row), or any is as
    large."""
    now: dict[str, Any] = {
        "values": dict(new.values), "version": new.version, "updated_at": new.at, "updated_by": new.by,
    }  # fmt: skip
    newest = Patch(
        CounterRow, CONFIG_VERSION, {"value": new.version}, where=(("value", "<", new.version),), must="version"
    )
    changes: list[Change] = [Put(CounterRow(name=CONFIG_VERSION, value=0), once=True), newest]
    if version_before:
        of, key = (FleetSettingsRow, FLEET) if rvm_id is None else (MachineSettingsRow, rvm_id)
        return [*changes, Patch(of, key, now, where=(("version", "=", version_before),), must="version")]
    row = FleetSettingsRow(id=FLEET, **now) if rvm_id is None else MachineSettingsRow(rvm_id=rvm_id, **now)
    return [*changes, Put(row, once=True, must="version")]


MOST_KEYS: Final = 64
MOST_TEXT: Final = 200


def kept(errors: Mapping[str, str]) -> dict[str, str]:
    kept = islice(errors.items(), MOST_KEYS)
    return {key: why if len(why) <= MOST_TEXT else why[: MOST_TEXT - 1] + "…" for key, why in kept}


def refusal_params(params: Mapping[str, Any], errors: Mapping[str, str], beyond: int) -> dict[str, Any]:
    """As many errors as fit into one event; `more`: the others and those `beyond` what is kept."""
    shown: dict[str, str] = {}
    for key, why in errors.items():
        if too_large({**params, "errors": {**shown, key: why}, "more": len(errors) + beyond}):
            break
        shown[key] = why
    more = len(errors) - len(shown) + beyond
    return {**params, "errors": shown} | ({"more": more} if more else {})


def readable(own: Mapping[str, Any] | None) -> tuple[dict[str, Value], int]:
    """By real keys; and how many are left out."""
    found: dict[str, Value] = {}
    for name, value in (own or {}).items():
        try:
            key = table.key_of(name)
            taken = table.checked(key, value)
        except WrongValueError:
            continue
        if table.is_free(key) and (key in RESERVED or sum(map(table.is_free, found)) >= table.MAX_FREE_KEYS):
            continue
        found[key] = taken
    return found, len(own or ()) - len(found)


def was_given(machine: Machine, version: int) -> bool:
    """Versions only grow: a report of a larger one is wrong."""
    return version <= machine.effective_settings.version


def applied(
    machine: Machine,
    version: int,
    errors: Mapping[str, str] | None,
    now: datetime,
    own: Mapping[str, Any] | None = None,
) -> list[Change]:
    """[] for a known report. `errors`, `own` None: not reported, as in a hello. Version 0 (its own file only) is no
    event."""
    refused = machine.row.config_errors or {}
    if errors is None:
        errors = refused if version else {}
    beyond, errors = max(0, len(errors) - MOST_KEYS), kept(errors)
    held = machine.row.config_own or {}
    local = held if own is None else dict(own)
    is_run = (version, dict(errors)) == (machine.row.config_version, refused)
    if is_run and local == held:
        return []
    change = Patch(
        MachineRow,
        machine.id,
        {
            "config_version": version, "config_errors": dict(errors) or None, "config_own": local or None,
            "config_applied_at": now, "updated_at": now,
        },
        must="id",
    )  # fmt: skip
    if is_run or version == 0:
        return [change]
    news = {key: why for key, why in errors.items() if refused.get(key) != why}
    event = EventHappened(
        at=now, code="config.refused" if news else "config.applied", actor=actors.machine(machine.id),
        rvm_id=machine.id, params=refusal_params({"version": version}, news, beyond) if news else {"version": version},
        before={"version": machine.row.config_version}, after={"version": version},
    )  # fmt: skip
    return [change, event]
