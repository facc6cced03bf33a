"""The arguments of every command the hub may send, and which of them wait for an offline machine (protocol.md)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from protocol.messages import Capacity, Name, Seconds, SpecialStatus, Status, Text, Timestamp

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Unit = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9:_.@-]*\Z")]
"""The name of a service, as systemd allows it, without a path and without a leading dash."""


class SetStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    status: Status
    special_status: SpecialStatus | None = None
    capacity: Capacity | None = None
    reason: Text | None = None
    until: Timestamp | None = None


class SyncTimezone(msgspec.Struct, kw_only=True, omit_defaults=True):
    trigger: Name
    timezone: Name | None = None


class StartRemoteAccess(msgspec.Struct, kw_only=True):
    session_id: int
    admin_ip: Name
    ports: list[Port]
    duration: Seconds
    ticket: Name


class StopRemoteAccess(msgspec.Struct, kw_only=True):
    session_id: int
    reason: Name


class StartBackup(msgspec.Struct, kw_only=True):
    backup_id: int
    backup_type: Literal["full", "incremental"]
    include_images: bool
    include_logs: bool


class RestoreBackup(msgspec.Struct, kw_only=True):
    backup_id: int
    dry_run: bool


class RestartService(msgspec.Struct, kw_only=True):
    """`service` must be one of those the machine's own configuration declares."""

    service: Unit


class Reboot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Waits for the end of an open return session, until its deadline; `force` does not.

    A machine that says `running` with the phase `rebooting` is going down: it then has five minutes to be back and to
    say `succeeded`.
    """

    delay: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    force: bool = False


class Ping(msgspec.Struct, kw_only=True):
    pass


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "set_status": SetStatus,
    "sync_timezone": SyncTimezone,
    "start_remote_access": StartRemoteAccess,
    "stop_remote_access": StopRemoteAccess,
    "start_backup": StartBackup,
    "restore_backup": RestoreBackup,
    "restart_service": RestartService,
    "reboot": Reboot,
    "ping": Ping,
}
DESIRED_STATE = frozenset({"set_status", "sync_timezone", "start_backup"})
"""These wait for an offline machine until they expire; every other command answers 409 when it is offline."""
