"""How a machine, a command and an event look: the one JSON of REST and the feed. Times: RFC 3339 with Z for REST
(`times="iso"`), epoch ms for the feed (`times="ms"`). Never a credential's hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from operator import attrgetter
from typing import Any, Literal

import msgspec

from certs.expiry import SOON, VERY_SOON
from db.records import CommandRow, EventRow, MachineRow, RemoteSessionRow
from db.table_row import TableRow
from db.trouble_records import TroubleRow
from hub.model.backups import (
    brings_nothing_back,
    cancelled_at,
    drill_failed_at,
    failed_at,
    last_good,
    late_of,
    open_backup,
    unverified_of,
)
from hub.model.fleet import ALL_MEMBERS
from hub.model.machine import Machine
from hub.model.presence import counting
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
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer(shape: type[msgspec.Struct], record: object, **more: Any) -> dict[str, Any]:
    """The record's values; `more`: those it has in another form."""
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
    return {name: getattr(sample, name) for name in READINGS}


def _oldest_session(machine: Machine, stamp: Stamp) -> dict[str, Any] | None:
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


def _backup(machine: Machine, stamp: Stamp) -> dict[str, Any]:
    """Age of the last good one, and what failed since."""
    good, of = last_good(machine.backups), open_backup(machine.backups)
    return {
        "good_at": None if good is None else _maybe(stamp, good.completed_at),
        "verified_at": None if good is None else _maybe(stamp, good.verified_at),
        "only_agent": good is not None and brings_nothing_back(good),
        "failed_at": _maybe(stamp, failed_at(machine.backups)),
        "cancelled_at": _maybe(stamp, cancelled_at(machine.backups)),
        "drill_failed_at": _maybe(stamp, drill_failed_at(machine.backups)),
        "late_at": _maybe(stamp, late_of(machine)),
        "unverified_at": _maybe(stamp, unverified_of(machine)),
        "full_at": _maybe(stamp, machine.backup_full_at),
        "open": of is not None,
        "open_status": None if of is None else of.upload_status,
        "open_type": None if of is None else of.backup_type,
    }


def _troubles(machine: Machine, stamp: Stamp) -> list[dict[str, Any]]:
    return [_shown(row, _TROUBLE, stamp) for row in machine.troubles.values()]


def _certificate(machine: Machine, stamp: Stamp) -> dict[str, Any] | None:
    """When its own certificate ends, and from when that is worth a warning."""
    ends = machine.certificate_ends_at
    return None if ends is None else {
        "soon_at": stamp(ends - SOON), "very_soon_at": stamp(ends - VERY_SOON), "ends_at": stamp(ends),
    }  # fmt: skip


def _columns(record: type[TableRow], hidden: frozenset[str]) -> dict[str, bool]:
    return {f.name: "datetime" in str(f.type) for f in msgspec.structs.fields(record) if f.name not in hidden}


def _shown(row: TableRow, columns: dict[str, bool], stamp: Stamp) -> dict[str, Any]:
    return {name: _maybe(stamp, getattr(row, name)) if at else getattr(row, name) for name, at in columns.items()}


def _column(name: str, is_instant: bool) -> Callable[[Machine, Stamp], Any]:
    read = attrgetter(f"row.{name}")
    return (lambda m, stamp: _maybe(stamp, read(m))) if is_instant else (lambda m, _: read(m))


HIDDEN = frozenset(
    {"status_before", "api_key", "tags", "capabilities", "hardware", "config_errors", "config_own", "close_reason",
     "board", "board_other", "board_report", "next_api_key", "next_api_key_prefix", "next_api_key_at",
     "connection_epoch"}
)  # fmt: skip
"""Columns that the view lacks, or has in another form."""
_COMMAND = _columns(CommandRow, frozenset({"idempotency_key"}))
_TROUBLE = _columns(TroubleRow, frozenset({"rvm_id", "noticed_at", "ended_at"}))
_EVENT = _columns(EventRow, frozenset({"boot_id", "seq"}))
_MEMBERS: dict[str, Callable[[Machine, Stamp], Any]] = {
    **{name: _column(name, at) for name, at in _columns(MachineRow, HIDDEN).items()},
    "tags": lambda m, _: list(m.row.tags or ()),
    "effective_status": lambda m, _: m.effective_status,
    "returns_to": lambda m, _: m.returns_to,
    "connection": lambda m, _: m.connection,
    "connection_since": lambda m, stamp: _maybe(stamp, m.connection_since),
    "connection_reason": lambda m, _: m.connection_reason,
    "last_seen_at": lambda m, stamp: _maybe(stamp, m.last_seen_at),
    "expected_interval_s": lambda m, _: m.interval,
    "health": lambda m, _: m.health,
    "health_reasons": lambda m, _: [reason._asdict() for reason in m.health_reasons],
    "lasting": lambda m, stamp: [{"code": code, "since": stamp(since)} for code, since in counting(m.lasting)],
    "readings": _readings,
    "certificate": _certificate,
    "board_question": lambda m, _: _board_question(m.row),
    "zone_wrong": lambda m, stamp: _maybe(stamp, m.zone_wrong_since),
    "commands": lambda m, _: sorted(ARGUMENTS.keys() & set(m.capabilities)),
    "model": lambda m, _: _model(m.row.hardware or {}),
    "disk_worn": lambda m, _: _disk_worn(m.row.board_report or {}),
    "config_wanted": lambda m, _: m.effective_settings.version,
    "config_refused": lambda m, _: len(m.row.config_errors or ()),
    "busy": lambda m, _: m.busy,
    "pending": lambda m, stamp: [_shown(command, _COMMAND, stamp) for command in m.pending.values()],
    "lease": _oldest_session,
    "troubles": _troubles,
    "backup": _backup,
}
_DETAILS: dict[str, Callable[[Machine], Any]] = {
    "capabilities": lambda m: list(m.capabilities),
    "hardware": lambda m: m.row.hardware,
    "board_report": lambda m: m.row.board_report,
    "config_errors": lambda m: m.row.config_errors,
}
"""A machine's own texts, kilobytes: only where one machine is asked for."""
MEMBERS = frozenset(_MEMBERS)


def _board_question(row: MachineRow) -> str | None:
    """`connected`, `waits`, or `copy`: of a different board that nobody has decided on."""
    if row.board_other_at is None:
        return None
    return {"approval": "waits", "clone": "copy"}.get((row.board_other or {}).get("held", ""), "connected")


def _model(hardware: dict[str, Any]) -> str | None:
    named = hardware.get("model") or hardware.get("machine")
    return named[:MAX_NAME] if isinstance(named, str) else None


def _disk_worn(board_report: dict[str, Any]) -> float | None:
    """Of the most worn."""
    return max((disk["worn"] for disk in board_report.get("disks", ()) if disk["worn"] is not None), default=None)


def session_view(session: RemoteSessionRow, recordings: int = 0, *, device_id: str) -> dict[str, Any]:
    members = msgspec.structs.asdict(session)
    shown = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in members.items()}
    return {**shown, "allow": list(session.allow or ()), "ports": list(session.ports or ()), "device_id": device_id,
            "recordings": recordings}  # fmt: skip


def machine_view(machine: Machine, *, times: Times = "iso") -> dict[str, Any]:
    stamp = _STAMPS[times]
    return {member: read(machine, stamp) for member, read in _MEMBERS.items()}


def machine_detail(machine: Machine, *, times: Times = "iso") -> dict[str, Any]:
    return machine_view(machine, times=times) | {member: read(machine) for member, read in _DETAILS.items()}


def machine_delta(machine: Machine, members: Iterable[str], *, times: Times = "ms") -> dict[str, Any]:
    """`id` and the named members (`hub.model.fleet.Touched.members`)."""
    stamp = _STAMPS[times]
    names = _MEMBERS if "*" in members else members
    return {"id": machine.id} | {member: _MEMBERS[member](machine, stamp) for member in names}


def command_view(command: CommandRow, *, times: Times = "iso") -> dict[str, Any]:
    return _shown(command, _COMMAND, _STAMPS[times])


def event_view(event: EventRow, *, times: Times = "iso") -> dict[str, Any]:
    """Code and params, which the reader's language renders."""
    return _shown(event, _EVENT, _STAMPS[times])


__all__ = [
    "ALL_MEMBERS", "HIDDEN", "MEMBERS", "READINGS", "command_view", "epoch_ms", "event_view", "machine_delta",
    "machine_detail", "machine_view",
    "readings_view", "rfc3339", "session_view",
]  # fmt: skip
