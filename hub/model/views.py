"""How a machine, a command and an event look to whoever reads them: the one JSON of REST and of the feed.

Time keys have one name and two forms: RFC 3339 with Z for REST (`times="iso"`), epoch milliseconds for the feed
(`times="ms"`). Never a hash of a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec

from db.records import CommandRow, EventRow, RemoteSessionRow
from hub.model.fleet import ALL_MEMBERS
from hub.model.machine import Machine
from protocol.commands import ARGUMENTS
from protocol.limits import MAX_NAME
from protocol.messages import Sample

Times = Literal["iso", "ms"]
Stamp = Callable[[datetime], "str | int"]

READINGS = (
    "cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature", "network_rx_bytes_s", "network_tx_bytes_s",
    "uptime_s", "power_w", "throttled",
)  # fmt: skip


def rfc3339(moment: datetime) -> str:
    """UTC with Z and milliseconds: `2026-11-23T13:05:09.120Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer(shape: type[msgspec.Struct], record: object, **more: Any) -> dict[str, Any]:
    """The members of an answer's shape with the record's values; `more` are values that it has not as they are."""
    return {name: more[name] if name in more else _plain(getattr(record, name)) for name in shape.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return sorted(value) if isinstance(value, frozenset) else value


def epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


_STAMPS: dict[str, Stamp] = {"iso": rfc3339, "ms": epoch_ms}


def _maybe(stamp: Stamp, moment: datetime | None) -> str | int | None:
    return None if moment is None else stamp(moment)


def _readings(machine: Machine, stamp: Stamp) -> dict[str, Any] | None:
    sample = machine.readings
    if sample is None:
        return None
    return readings_view(sample) | {
        "taken_at": _maybe(stamp, machine.readings_at),
        "reasons": sample.reasons or {},
    }


def readings_view(sample: Sample) -> dict[str, Any]:
    """The readings alone, absent ones as None."""
    return {name: getattr(sample, name) for name in READINGS}


def _lease(machine: Machine, stamp: Stamp) -> dict[str, Any] | None:
    """The oldest open remote access session."""
    if not machine.remote_sessions:
        return None
    session = machine.remote_sessions[min(machine.remote_sessions)]
    return {
        "id": session.id,
        "admin_id": session.admin_id,
        "name": session.admin_name,
        "status": session.status,
        "since": stamp(session.start_time),
        "expires_at": _maybe(stamp, session.expires_at),
        "reason": session.reason,
        "approval_wanted": session.status == "requested",
        "allow": list(session.allow or ()),
        "ports": list(session.ports or ()),
        "origin": session.origin,
    }


_MEMBERS: dict[str, Callable[[Machine, Stamp], Any]] = {
    "id": lambda m, _: m.id,
    "device_id": lambda m, _: m.row.device_id,
    "name": lambda m, _: m.row.name,
    "location_description": lambda m, _: m.row.location_description,
    "simulated": lambda m, _: m.row.simulated,
    "status": lambda m, _: m.row.status,
    "special_status": lambda m, _: m.row.special_status,
    "effective_status": lambda m, _: m.effective_status,
    "capacity": lambda m, _: m.row.capacity,
    "status_since": lambda m, stamp: stamp(m.row.status_since),
    "status_by": lambda m, _: m.row.status_by,
    "status_reason": lambda m, _: m.row.status_reason,
    "status_until": lambda m, stamp: _maybe(stamp, m.row.status_until),
    "returns_to": lambda m, _: m.returns_to,
    "connection": lambda m, _: m.connection,
    "connection_since": lambda m, stamp: _maybe(stamp, m.connection_since),
    "connection_reason": lambda m, _: m.connection_reason,
    "last_seen_at": lambda m, stamp: _maybe(stamp, m.last_seen_at),
    "expected_interval_s": lambda m, _: m.interval,
    "health": lambda m, _: m.health,
    "health_reasons": lambda m, _: [reason._asdict() for reason in m.health_reasons],
    "readings": _readings,
    "agent_version": lambda m, _: m.row.agent_version,
    "boot_id": lambda m, _: m.row.boot_id,
    "commands": lambda m, _: sorted(ARGUMENTS.keys() & set(m.capabilities)),
    "model": lambda m, _: _model(m.row.hardware or {}),
    "timezone": lambda m, _: m.row.timezone,
    "config_version": lambda m, _: m.row.config_version,
    "config_wanted": lambda m, _: m.effective_settings.version,
    "config_refused": lambda m, _: len(m.row.config_errors or ()),
    "config_applied_at": lambda m, stamp: _maybe(stamp, m.row.config_applied_at),
    "clock_offset_s": lambda m, _: m.row.clock_offset_s,
    "ntp": lambda m, _: m.row.ntp,
    "busy": lambda m, _: m.busy,
    "quarantined_until": lambda m, stamp: _maybe(stamp, m.row.quarantined_until),
    "last_ip": lambda m, _: m.row.last_ip,
    "api_key_prefix": lambda m, _: m.row.api_key_prefix,
    "pending": lambda m, stamp: [_command(command, stamp) for command in m.pending.values()],
    "lease": _lease,
    "created_at": lambda m, stamp: stamp(m.row.created_at),
    "updated_at": lambda m, stamp: stamp(m.row.updated_at),
}
_DETAILS: dict[str, Callable[[Machine], Any]] = {
    "capabilities": lambda m: list(m.capabilities),
    "hardware": lambda m: m.row.hardware,
    "config_errors": lambda m: m.row.config_errors,
}
"""What a machine words itself, kilobytes of it: only where one machine is asked for, never in a list or the feed."""
MEMBERS = frozenset(_MEMBERS)


def _model(hardware: dict[str, Any]) -> str | None:
    """What the machine is called by its maker, or its kind of processor."""
    named = hardware.get("model") or hardware.get("machine")
    return named[:MAX_NAME] if isinstance(named, str) else None


def session_view(session: RemoteSessionRow, recordings: int = 0, *, device_id: str) -> dict[str, Any]:
    """One remote access session as REST shows it."""
    members = msgspec.structs.asdict(session)
    shown = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in members.items()}
    return {**shown, "allow": list(session.allow or ()), "ports": list(session.ports or ()), "device_id": device_id,
            "recordings": recordings}  # fmt: skip


def machine_view(machine: Machine, *, times: Times = "iso") -> dict[str, Any]:
    """A machine among others: lists, pages, the feed."""
    stamp = _STAMPS[times]
    return {member: read(machine, stamp) for member, read in _MEMBERS.items()}


def machine_detail(machine: Machine, *, times: Times = "iso") -> dict[str, Any]:
    """The JSON of GET /rvms/{id}: `machine_view` and what only this machine's own page needs."""
    return machine_view(machine, times=times) | {member: read(machine) for member, read in _DETAILS.items()}


def machine_delta(machine: Machine, members: Iterable[str], *, times: Times = "ms") -> dict[str, Any]:
    """`id` and the named members of the view (see `hub.model.fleet.Touched.members`)."""
    stamp = _STAMPS[times]
    names = _MEMBERS if "*" in members else members
    return {"id": machine.id} | {member: _MEMBERS[member](machine, stamp) for member in names}


def command_view(command: CommandRow, *, times: Times = "iso") -> dict[str, Any]:
    return _command(command, _STAMPS[times])


def _command(command: CommandRow, stamp: Stamp) -> dict[str, Any]:
    return {
        "id": command.id,
        "rvm_id": command.rvm_id,
        "name": command.name,
        "args": command.args,
        "state": command.state,
        "issued_by": command.issued_by,
        "issued_at": stamp(command.issued_at),
        "expires_at": stamp(command.expires_at),
        "sent_at": _maybe(stamp, command.sent_at),
        "finished_at": _maybe(stamp, command.finished_at),
        "progress": command.progress,
        "result": command.result,
        "error": command.error,
        "group_id": command.group_id,
        "reason": command.reason,
        "cancel_by": command.cancel_by,
        "cancel_at": _maybe(stamp, command.cancel_at),
    }


def event_view(event: EventRow, *, times: Times = "iso") -> dict[str, Any]:
    """One line of the record; the reader's language renders code and params."""
    return {
        "id": event.id,
        "at": _STAMPS[times](event.at),
        "code": event.code,
        "actor": event.actor,
        "rvm_id": event.rvm_id,
        "params": event.params,
        "before": event.before,
        "after": event.after,
    }


__all__ = [
    "ALL_MEMBERS", "MEMBERS", "READINGS", "command_view", "epoch_ms", "event_view", "machine_delta",
    "machine_detail", "machine_view",
    "readings_view", "rfc3339", "session_view",
]  # fmt: skip
