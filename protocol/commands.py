"""The arguments of every command the hub may send, and which of them wait for an offline machine (protocol.md)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from protocol import limits
from protocol.kinds import BackupClass, BackupType, Capacity, Name, Seconds, Seq, SpecialStatus, Status, Text, Timestamp

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Unit = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9:_.@-]*\Z")]
"""The name of a service, as systemd allows it, without a path and without a leading dash."""


Allowed = Literal["terminal", "ports", "files"]
Ticket = Annotated[str, msgspec.Meta(max_length=200)]
RemoteAddress = Annotated[str, msgspec.Meta(max_length=64)]
ArchivePath = Annotated[
    str, msgspec.Meta(min_length=1, max_length=limits.MAX_FILE_PATH, pattern=r"^[^\x00-\x1f\x7f]*\Z")
]
"""A file of a backup, or a folder with all below it: `SOURCE/relative/path`, as its manifest has it."""


class SetStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    status: Status
    special_status: SpecialStatus | None = None
    capacity: Capacity | None = None
    reason: Text | None = None
    until: Timestamp | None = None


class SyncTimezone(msgspec.Struct, kw_only=True, omit_defaults=True):
    trigger: Name
    timezone: Name | None = None


class StartRemoteAccess(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Begin a session: take the machine into maintenance, and open `/ws/tunnel` with the `ticket`, which is good once
    and for 60 s. It has `succeeded` when the maintenance is set.

    `allow` says what of the machine may be reached (nothing named: all of it), `admin` and `reason` are for people to
    read. `site`: the session was begun at the machine, no tunnel is wanted, and the ticket is empty.
    """

    session_id: Seq
    admin_ip: RemoteAddress
    ports: Annotated[list[Port], msgspec.Meta(max_length=limits.MAX_REMOTE_PORTS)]
    duration: Seconds
    ticket: Ticket
    allow: Annotated[list[Allowed], msgspec.Meta(max_length=10)] | None = None
    admin: Name | None = None
    reason: Text | None = None
    site: bool = False


class StopRemoteAccess(msgspec.Struct, kw_only=True):
    """End it, whatever it was doing; a session that is not open is `succeeded` as well."""

    session_id: Seq
    reason: Name


class ExtendRemoteAccess(msgspec.Struct, kw_only=True):
    """The session may last `duration` seconds from now."""

    session_id: Seq
    duration: Seconds


class StartBackup(msgspec.Struct, kw_only=True):
    """Archive the machine's `backup_sources` and upload the archive as `backup_id`, in parts over HTTPS. It has
    `succeeded` when the hub has the whole archive; until then its progress moves the deadline, up to 24 h.

    Phases: `scanning`, `waiting` (a customer, the rate, the hub away), `sending` (`done` of `total` bytes of data),
    `finishing`.
    """

    backup_id: Seq
    backup_type: BackupType
    include_images: bool
    include_logs: bool


class RestoreBackup(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Bring a kept backup back: of these `classes` (absent: all) or only these `paths`. `dry_run`: say what would be
    replaced, added and deleted, and change nothing.

    Phases: `downloading`, `unpacking`, `comparing`, `stopping`, `exchanging`, `starting`.
    """

    backup_id: Seq
    dry_run: bool
    classes: Annotated[list[BackupClass], msgspec.Meta(min_length=1, max_length=4)] | None = None
    paths: Annotated[list[ArchivePath], msgspec.Meta(min_length=1, max_length=limits.MAX_RESTORE_PATHS)] | None = None


class VerifyBackup(msgspec.Struct, kw_only=True):
    """Fetch a kept backup, unpack it to a scratch place and compare each file with the manifest: for what the hub
    itself cannot read.

    Phases: `downloading`, `unpacking`, `comparing`.
    """

    backup_id: Seq


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


class RenewKey(msgspec.Struct, kw_only=True):
    """Make a new key, offer it (`key_offer`), use it once the hub has committed it, and connect with it: `succeeded`
    when the hub has confirmed the new key on a link of its own. The old one ends there and then.

    Phase: `offering`.
    """


class Ping(msgspec.Struct, kw_only=True):
    pass


ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    "set_status": SetStatus,
    "sync_timezone": SyncTimezone,
    "start_remote_access": StartRemoteAccess,
    "stop_remote_access": StopRemoteAccess,
    "extend_remote_access": ExtendRemoteAccess,
    "start_backup": StartBackup,
    "restore_backup": RestoreBackup,
    "verify_backup": VerifyBackup,
    "restart_service": RestartService,
    "reboot": Reboot,
    "renew_key": RenewKey,
    "ping": Ping,
}
DESIRED_STATE = frozenset({"set_status", "sync_timezone", "start_backup"})
"""These wait for an offline machine until they expire; every other command answers 409 when it is offline."""
