"""/rvms/{id}/config and /config: settings of one machine, and what all inherit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from hub.links.links import Links
from hub.machine_settings import rules, service
from hub.machine_settings.body import (  # fmt: skip
    SettingPatch,
    SettingsPatch,
    VersionSeen,
    problem_of,
    read_setting,
    read_settings,
    request_for,
    why_not,
)
from hub.machine_settings.rules import SettingsRequest, StaleError, WrongSettingsError
from hub.model import effective_settings, views
from hub.model.effective_settings import UNWRITTEN, CommonSettings, DesiredSettings
from hub.model.machine import Machine
from hub.web.api.headers import IF_MATCH_PARAMETER, stale, tagged, version_expected
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, invalid, not_found, one_wrong
from hub.web.http.validation import Instant, check_free_shape
from protocol import configuration as table
from protocol.configuration import WrongValueError
from protocol.kinds import Name
from protocol.kinds import Text as Sentence

Errors = Annotated[dict[Name, Sentence], msgspec.Meta(max_length=1000)]


class SettingsApplied(msgspec.Struct):
    """As `config_applied` on the link: the version in force, why each key in `errors` is not, and what the machine's
    own file and environment set."""

    version: VersionSeen
    errors: Errors | None = None
    own: dict[Name, Any] | None = None


Block = Literal["remote_access", "timezone", "backup", "monitoring", "other"]
Origin = Literal["default", "file", "fleet", "machine"]


class Blocks(msgspec.Struct):
    """Values by subject; keys that are not the product's are in `other`."""

    remote_access: dict[str, Any]
    timezone: dict[str, Any]
    backup: dict[str, Any]
    monitoring: dict[str, Any]
    other: dict[str, Any]


class FleetSettings(msgspec.Struct):
    """What every machine inherits. `version` 0: never written. `written` is what machines are sent; for other keys
    their own files come before the defaults."""

    version: int
    values: dict[str, Any]
    blocks: Blocks
    origins: dict[str, Literal["default", "fleet"]]
    written: dict[str, Any]
    updated_at: Instant | None
    updated_by: str | None


class MachineSettings(msgspec.Struct):
    """`values`: what is in force, as far as the machine has reported its file; `written`: for this machine;
    `inherited`: what that overrides; `applied_errors`: what it refused of `applied_version`, and why."""

    version: int
    applied_version: int
    applied_at: Instant | None
    applied_errors: dict[str, str]
    values: dict[str, Any]
    blocks: Blocks
    origins: dict[str, Origin]
    written: dict[str, Any]
    inherited: dict[str, Any]
    updated_at: Instant | None
    updated_by: str | None


class MachineSetting(msgspec.Struct):
    """`value` null: nobody has given it one (any more)."""

    key: str
    value: Any
    origin: Origin
    inherited: Any
    block: Block
    version: int
    applied_version: int
    applied_error: str | None


async def show_config(call: Call) -> Answer:
    return _settings(call, call.machine)


async def change_config(call: Call) -> Answer:
    message = await _write_unchanged(call, call.machine, call.body)
    return _settings(call, _still(call), message)


async def show_setting(call: Call) -> Answer:
    key = _key_in_path(call, missing_is_hidden=True)
    if key not in call.machine.effective_settings.values:
        raise not_found()
    return Answer(_one(call, call.machine, key), headers=tagged(call.machine.effective_settings.version))


async def change_setting(call: Call) -> Answer:
    key = _key_in_path(call)
    message = await _write_unchanged(call, call.machine, request_for(key, call.body))
    machine = _still(call)
    return Answer(_one(call, machine, key), message=message, headers=tagged(machine.effective_settings.version))


async def show_fleet_config(call: Call) -> Answer:
    return _fleet(call)


async def change_fleet_config(call: Call) -> Answer:
    return _fleet(call, await _write_unchanged(call, None, call.body))


async def settings_applied(call: Call) -> Answer:
    report: SettingsApplied = call.body
    check_free_shape("own", report.own)
    machine = call.machine
    if not rules.was_given(machine, report.version):
        raise one_wrong("version", "expect.version_given", most=machine.effective_settings.version)
    own, left_out = rules.readable(report.own)
    call.context[Links].tally["left_out"] += left_out
    changes = rules.applied(machine, report.version, report.errors or {}, call.now, own)
    if changes:
        await call.context.announce(*changes)
    return Answer(settings_view(call.context.fleet.settings, machine))


async def _write_unchanged(call: Call, machine: Machine | None, request: SettingsRequest) -> Text | None:
    """The version they saw may be in `If-Match`, in the body, or in both."""
    settings = call.context.fleet.settings
    expected = version_expected(
        call.request, settings.written.version if machine is None else machine.effective_settings.version
    )
    if expected is None or request.version not in (None, expected):
        return await write(call, machine, request)
    try:
        return await write(call, machine, request._replace(version=expected))
    except Problem as refused:
        if isinstance(refused.__cause__, StaleError):
            raise stale(refused.__cause__.current) from refused
        raise


def _settings(call: Call, machine: Machine, message: Text | None = None) -> Answer:
    view = settings_view(call.context.fleet.settings, machine)
    return Answer(view, message=message, headers=tagged(machine.effective_settings.version))


def _fleet(call: Call, message: Text | None = None) -> Answer:
    settings = call.context.fleet.settings
    return Answer(fleet_view(settings), message=message, headers=tagged(settings.written.version))


async def write(call: Call, machine: Machine | None, request: SettingsRequest) -> Text | None:
    """The message for the caller; None: nothing changed. Raises a Problem."""
    try:
        changed = await service.write(call.context.announce, machine, request, call.principal.actor, call.now)
    except (StaleError, WrongSettingsError) as refused:
        raise problem_of(refused) from refused
    if not changed:
        return None
    if machine is None:
        return Text("settings.fleet")
    return Text("settings.pushed" if machine.linked else "settings.waiting")


async def pin_zone(call: Call, zone: str) -> None:
    """ "": by look-ups again. Raises a Problem."""
    await write(call, call.machine, SettingsRequest({"pinned_timezone": zone or None}))


def settings_view(fleet: CommonSettings, machine: Machine) -> dict[str, Any]:
    """What holds, where from, and how much of it the machine has applied."""
    own, local, found = machine.desired_settings, machine.reported_settings, machine.effective_settings
    without = fleet.of(UNWRITTEN, local).values
    return {
        "version": found.version, "applied_version": machine.row.config_version,
        "applied_at": _iso(machine.row.config_applied_at), "applied_errors": machine.row.config_errors or {},
        "values": dict(found.values), "blocks": effective_settings.blocks(found.values),
        "origins": {key: fleet.origin(key, own, local) for key in found.values}, "written": dict(own.values),
        "inherited": {key: without[key] for key in own.values if key in without}, **_written(fleet.newest_scope(own)),
    }  # fmt: skip


def fleet_view(fleet: CommonSettings) -> dict[str, Any]:
    values = fleet.shared.values
    return {
        "version": fleet.written.version, "values": dict(values), "blocks": effective_settings.blocks(values),
        "origins": {key: fleet.origin(key) for key in values}, "written": dict(fleet.written.values),
        **_written(fleet.written),
    }  # fmt: skip


def _one(call: Call, machine: Machine, key: str) -> dict[str, Any]:
    fleet, local = call.context.fleet.settings, machine.reported_settings
    setting = table.SETTINGS.get(key)
    return {
        "key": key,
        "value": machine.effective_settings.values.get(key),
        "origin": fleet.origin(key, machine.desired_settings, local),
        "inherited": fleet.of(UNWRITTEN, local).values.get(key),
        "block": effective_settings.OTHER if setting is None else setting.block,
        "version": machine.effective_settings.version,
        "applied_version": machine.row.config_version,
        "applied_error": (machine.row.config_errors or {}).get(key),
    }


def _written(scope: DesiredSettings) -> dict[str, Any]:
    return {"updated_at": _iso(scope.at), "updated_by": scope.by}


def _iso(at: datetime | None) -> str | None:
    return None if at is None else views.rfc3339(at)


def _key_in_path(call: Call, *, missing_is_hidden: bool = False) -> str:
    name = call.request.path_params["key"]
    try:
        return table.key_of(name)
    except WrongValueError as wrong:
        if missing_is_hidden and wrong.code != "static_key":
            raise not_found() from wrong
        raise invalid({name[:100]: [why_not(wrong)]}) from wrong


def _still(call: Call) -> Machine:
    machine = call.context.fleet.find(call.machine.id)
    if machine is None:  # removed by somebody else meanwhile
        raise not_found()
    return machine


_EXAMPLE = {"temperature_threshold": 75, "confidence_threshold": 0.6}
_WRITTEN: Final[Any] = {"refusals": (409, 412), "parameters": IF_MATCH_PARAMETER, "headers": ("ETag",)}
_STALE = (
    "With the `version` you have seen in the body, a write in between is answered 409 and changes nothing; with the "
    "`ETag` in `If-Match`, 412."
)

_APPLIED = {"version": 7, "errors": {"metrics_interval": "environment: RVM_METRICS_INTERVAL sets it"}}

OPERATIONS = (
    # Before `config/{key}`: the first route that matches an address decides.
    Operation(
        name="settings_applied", method="POST", path="/v2/rvms/{id}/config/applied", handler=settings_applied,
        tag="Settings", summary="A machine tells which settings it runs", action="config.report",
        body=SettingsApplied, answers={200: MachineSettings}, example=_APPLIED,
        description="For machines without a link; with the machine's own key. `version` is one that GET "
        "/rvms/{id}/config has answered.",
    ),
    Operation(
        name="show_config", method="GET", path="/v2/rvms/{id}/config", handler=show_config, tag="Settings",
        summary="The settings of a machine, and where each comes from", action="config.read",
        answers={200: MachineSettings}, headers=("ETag",),
        description="`version` is what the machine should run, `applied_version` what it does run. A value comes from "
        "the `default`, the machine's own `file` (or environment), the `fleet`, or was written for this `machine`.",
    ),
    Operation(
        name="change_config", method="PATCH", path="/v2/rvms/{id}/config", handler=change_config, tag="Settings",
        summary="Change settings of one machine", action="config.write", body=SettingsPatch, read_body=read_settings,
        answers={200: MachineSettings}, **_WRITTEN, example=_EXAMPLE,
        description=f"Pushed to the machine at once when it is connected, else when it comes back. {_STALE}",
    ),
    Operation(
        name="show_setting", method="GET", path="/v2/rvms/{id}/config/{key}", handler=show_setting, tag="Settings",
        summary="One setting of a machine", action="config.read", answers={200: MachineSetting},
        headers=("ETag",), refusals=(422,), description="Dashes and underscores in the key are alike.",
    ),
    Operation(
        name="change_setting", method="PATCH", path="/v2/rvms/{id}/config/{key}", handler=change_setting,
        tag="Settings", summary="Change one setting of a machine", action="config.write", body=SettingPatch,
        read_body=read_setting, answers={200: MachineSetting}, **_WRITTEN, example={"value": 0.6},
        description=f"Dashes and underscores in the key are alike. {_STALE}",
    ),
    Operation(
        name="show_fleet_config", method="GET", path="/v2/config", handler=show_fleet_config, tag="Settings",
        summary="What machines inherit that have nothing of their own", action="fleet_config.read",
        answers={200: FleetSettings}, headers=("ETag",),
    ),
    Operation(
        name="change_fleet_config", method="PATCH", path="/v2/config", handler=change_fleet_config, tag="Settings",
        summary="Change settings of the whole fleet", action="fleet_config.write", body=SettingsPatch,
        read_body=read_settings, answers={200: FleetSettings}, **_WRITTEN, example=_EXAMPLE,
        description=f"Machines with a value of their own keep it. {_STALE}",
    ),
)  # fmt: skip
