"""A write to the settings of the fleet or of one machine: checked as a whole, then Changes, or what speaks against it.

`None` for a key means: inherit again. Whether nobody else wrote meanwhile is decided by the database: the Change says
what it was drafted against. What is in force afterwards: `hub.model.effective_settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from hub.model.actors import Actor
from hub.model.changes import Change, EventHappened
from hub.model.effective_settings import (
    UNREPORTED,
    CommonSettings,
    DesiredSettings,
    EffectiveSettings,
    ReportedSettings,
    Values,
    effective_of,
)
from hub.model.service_changes import ConfigWritten
from protocol import codec
from protocol import configuration as table
from protocol.configuration import Value, WrongValueError
from protocol.limits import MAX_INTEGER, MAX_MESSAGE_BYTES
from protocol.messages import Config

RESERVED: Final = frozenset({"version", "values", "applied"})
"""Members of the request itself, so no keys."""
_AROUND: Final = 1024
"""What a `welcome` has beside the settings, generously."""


class Wish(NamedTuple):
    """Names as the caller wrote them; `version`: the one the caller has seen, None when they do not care."""

    values: Mapping[str, Any]
    version: int | None = None


class StaleError(Exception):
    """Somebody wrote since the caller looked; `current` is the version now."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the version is {current} now")
        self.current = current


class WrongSettingsError(Exception):
    """`errors` by the names the caller used. Codes beside those of the table: reserved, twice, near,
    too_many_free, too_large."""

    def __init__(self, errors: Mapping[str, WrongValueError]) -> None:
        super().__init__(", ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


def write_machine(
    fleet: CommonSettings,
    rvm_id: int,
    own: DesiredSettings,
    wish: Wish,
    actor: Actor,
    now: datetime,
    local: ReportedSettings = UNREPORTED,
) -> list[Change]:
    """[] when it changes nothing. Raises StaleError, WrongSettingsError.

    `local` is what the machine's own file sets, so that the record tells what a write stands before. Whether the
    machine takes it is not known yet.
    """
    behind = ReportedSettings(local.values)
    before = fleet.of(own, behind)
    _check_version(wish, before.version)
    held = {**local.values, **own.values, **fleet.written.values}
    wanted = _checked(wish, held.get)
    values = _applied(own.values, wanted)
    if values == own.values:
        return []
    written = DesiredSettings(values, fleet.newest + 1, now, actor)
    after = effective_of(fleet.base, fleet.written, written, behind)
    _check_size(wish, after)
    changed = _differing(own.values, wanted)
    return _changes(rvm_id, own, written, changed, before.values, after.values, actor, now)


def write_fleet(
    fleet: CommonSettings, owns: Iterable[DesiredSettings], wish: Wish, actor: Actor, now: datetime
) -> list[Change]:
    """`owns` is what machines have of their own: it must still fit with it. Otherwise as `write_machine`."""
    _check_version(wish, fleet.written.version)
    own = [scope for scope in owns if scope.values]

    def held(key: str) -> Value | None:
        there = (scope.values[key] for scope in own if key in scope.values)
        return fleet.written.values.get(key) if key in fleet.written.values else next(there, None)

    wanted = _checked(wish, held)
    values = _applied(fleet.written.values, wanted)
    if values == fleet.written.values:
        return []
    written = DesiredSettings(values, fleet.newest + 1, now, actor)
    after = effective_of(fleet.base, written)
    _check_size(wish, after)
    if any(table.is_free(key) for key, value in wanted.items() if value is not None) or _size(after) > _ROOM // 2:
        for scope in own:
            _check_size(wish, effective_of(fleet.base, written, scope))
    changed = _differing(fleet.written.values, wanted)
    return _changes(None, fleet.written, written, changed, fleet.shared.values, after.values, actor, now)


def _check_version(wish: Wish, current: int) -> None:
    if wish.version is not None and wish.version != current:
        raise StaleError(current)


def _checked(wish: Wish, held: Callable[[str], Value | None]) -> dict[str, Value | None]:
    """The wish by its real keys; `held` gives what a free key holds now, whose kind stays."""
    errors: dict[str, WrongValueError] = {}
    found: dict[str, Value | None] = {}
    for name, value in wish.values.items():
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
    """A key that is new and nearly one of the product's is a slip: stored, it would do nothing, silently."""
    near = table.slip_of(key) if now is None else None
    if near is not None:
        raise WrongValueError("near", near=near)
    return table.checked(key, value, now)


def _applied(values: Values, wanted: Mapping[str, Value | None]) -> dict[str, Value]:
    kept = {key: value for key, value in values.items() if key not in wanted}
    return kept | {key: value for key, value in wanted.items() if value is not None}


def _differing(values: Values, wanted: Mapping[str, Value | None]) -> list[str]:
    return [key for key, value in wanted.items() if values.get(key) != value]


_ROOM: Final = MAX_MESSAGE_BYTES - _AROUND


def _size(found: EffectiveSettings) -> int:
    return len(codec.encode(Config(version=MAX_INTEGER, values=dict(found.written))).encode())


def _check_size(wish: Wish, found: EffectiveSettings) -> None:
    """A machine is told all that was written for it in one message."""
    free = [key for key in found.written if table.is_free(key)]
    named = next((name for name, value in wish.values.items() if value is not None), "values")
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
        ConfigWritten(
            rvm_id=rvm_id, values=dict(new.values), version=new.version, version_before=old.version, at=at, by=by
        ),
        EventHappened(
            at=at,
            code="config.changed",
            actor=by,
            rvm_id=rvm_id,
            params=params,
            before={key: before.get(key) for key in keys},
            after={key: after.get(key) for key in keys},
        ),
    ]
