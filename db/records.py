"""Every table's record: a frozen Struct a table, its fields the columns, in order. `id` is 0 until the database has
given one. JSON lists are tuples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from db.backup_records import OPEN_BACKUP, BackupRow
from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.notification_records import DestinationRow, NotificationRow
from db.sign_in_records import RecoveryCodeRow, TwoStepRow
from db.table_row import R, TableRow
from db.trouble_records import TroubleRow


class MachineRow(TableRow, frozen=True, kw_only=True):
    """`api_key`: the key's hash; `next_api_key`: of one that the machine made over its link at `next_api_key_at`, valid
    beside the old one until it is used; `config_own`: what its own file and environment set; `error_since`: of an error
    that goes on, also out of service; `board`: whose key it is, `board_other`: a different one that used it, to be
    decided on since `board_other_at`."""

    TABLE: ClassVar[str] = "reverse_vending_machines"
    id: int = 0
    device_id: str
    name: str
    location_description: str | None = None
    tags: tuple[str, ...] | None = None
    latitude: float | None = None
    longitude: float | None = None
    status: str = "active"
    special_status: str | None = None
    capacity: int = 0
    status_since: datetime
    status_by: str
    status_reason: str | None = None
    status_until: datetime | None = None
    status_before: dict[str, Any] | None = None
    error_since: datetime | None = None
    api_key: str | None = None
    api_key_prefix: str | None = None
    next_api_key: str | None = None
    next_api_key_prefix: str | None = None
    next_api_key_at: datetime | None = None
    board: dict[str, Any] | None = None
    board_other: dict[str, Any] | None = None
    board_other_at: datetime | None = None
    simulated: bool = False
    agent_version: str | None = None
    boot_id: str | None = None
    capabilities: tuple[str, ...] | None = None
    hardware: dict[str, Any] | None = None
    board_report: dict[str, Any] | None = None
    board_report_at: datetime | None = None
    timezone: str | None = None
    config_version: int = 0
    config_errors: dict[str, Any] | None = None
    config_applied_at: datetime | None = None
    config_own: dict[str, Any] | None = None
    clock_offset_s: float | None = None
    ntp: bool | None = None
    quarantined_until: datetime | None = None
    last_seen_at: datetime | None = None
    last_ip: str | None = None
    close_reason: str | None = None
    connection_epoch: int = 0
    created_at: datetime
    updated_at: datetime


class StatusRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "status_history"
    id: int = 0
    rvm_id: int
    status: str
    special_status: str | None = None
    capacity: int
    since: datetime
    by: str
    reason: str | None = None
    until: datetime | None = None


class BootRow(TableRow, frozen=True, kw_only=True):
    """`id`: what system_metrics.boot holds; samples up to `last_seq` are committed."""

    TABLE: ClassVar[str] = "machine_boots"
    id: int = 0
    rvm_id: int
    boot_id: str
    last_seq: int | None = None
    last_used_at: datetime


class CounterRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "counters"
    name: str
    value: int


class CommandRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "commands"
    id: str
    rvm_id: int
    name: str
    args: dict[str, Any]
    state: str
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    idempotency_key: str | None = None
    group_id: str | None = None
    reason: str | None = None
    cancel_by: str | None = None
    cancel_at: datetime | None = None


class EventRow(TableRow, frozen=True, kw_only=True):
    """A code and parameters, never a sentence. Of a machine's report: `boot_id` and `seq`, which make a repeated one
    one line."""

    TABLE: ClassVar[str] = "events"
    id: int = 0
    at: datetime
    code: str
    actor: str
    rvm_id: int | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    boot_id: str | None = None
    seq: int | None = None


class UserRow(TableRow, frozen=True, kw_only=True):
    """`timezone`: what times are shown in; None: where the machine stands, in lists of many the hub's."""

    TABLE: ClassVar[str] = "users"
    id: int = 0
    email: str
    name: str
    role: str
    password_hash: str | None = None
    language: str | None = None
    theme: str | None = None
    timezone: str | None = None
    disabled_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class UserMachineRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "user_machines"
    user_id: int
    rvm_id: int


class UserTagRow(TableRow, frozen=True, kw_only=True):
    """A technician's machines are also those that have this tag now."""

    TABLE: ClassVar[str] = "user_tags"
    user_id: int
    tag: str


class SavedViewRow(TableRow, frozen=True, kw_only=True):
    """`query`: the members of the Machines page's address that are no defaults; `shared`: everybody sees it."""

    TABLE: ClassVar[str] = "saved_views"
    id: int = 0
    user_id: int
    name: str
    query: dict[str, Any]
    shared: bool = False
    created_at: datetime
    updated_at: datetime


class TokenRow(TableRow, frozen=True, kw_only=True):
    """`role`: at most this one, None: its owner's; `machines` (ids) and `tags`: of its owner's machines these alone,
    both None: all of them."""

    TABLE: ClassVar[str] = "tokens"
    id: int = 0
    user_id: int
    name: str
    prefix: str
    hash: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_ip: str | None = None
    revoked_at: datetime | None = None
    role: str | None = None
    machines: tuple[int, ...] | None = None
    tags: tuple[str, ...] | None = None


class SessionRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "sessions"
    id: int = 0
    user_id: int
    hash: str
    created_at: datetime
    expires_at: datetime
    ip: str | None = None
    user_agent: str | None = None
    last_used_at: datetime | None = None


class SignInLinkRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "sign_in_links"
    hash: str
    user_id: int
    expires_at: datetime
    used_at: datetime | None = None


class SignInFailureRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "sign_in_failures"
    email: str
    failures: int
    last_at: datetime
    locked_until: datetime | None = None


class ZoneSyncRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "timezone_sync_logs"
    id: int = 0
    device_id: str
    timezone: str
    country: str | None = None
    city: str | None = None
    ip_address: str | None = None
    sync_method: str
    sync_timestamp: datetime
    created_at: datetime
    sync_status: str = "active"
    previous_timezone: str | None = None
    source: str | None = None
    error: dict[str, Any] | None = None
    clock_offset_s: float | None = None


class ZoneRow(TableRow, frozen=True, kw_only=True):
    """As of its newest report. `sync_status`: active, or failed (`error` has why)."""

    TABLE: ClassVar[str] = "device_timezones"
    id: int = 0
    device_id: str
    current_timezone: str
    country: str | None = None
    city: str | None = None
    last_sync: datetime | None = None
    sync_status: str = "active"
    created_at: datetime
    updated_at: datetime
    sync_method: str | None = None
    source: str | None = None
    guess: str | None = None
    system_timezone: str | None = None
    error: dict[str, Any] | None = None
    restart: tuple[str, ...] | None = None


class FleetSettingsRow(TableRow, frozen=True, kw_only=True):
    """Those that differ from the defaults: one row, FLEET."""

    TABLE: ClassVar[str] = "fleet_config"
    id: int
    values: dict[str, Any]
    version: int
    updated_at: datetime
    updated_by: str


class MachineSettingsRow(TableRow, frozen=True, kw_only=True):
    TABLE: ClassVar[str] = "machine_configs"
    rvm_id: int
    values: dict[str, Any]
    version: int
    updated_at: datetime
    updated_by: str


class RemoteSessionRow(TableRow, frozen=True, kw_only=True):
    """`admin_id`: the holder, None: nobody named (begun at the machine) or removed. `expires_at`: when its present
    state ends by itself; `origin`: hub, or site (begun with the machine's own key); `command_id`: begins it."""

    TABLE: ClassVar[str] = "remote_access_sessions"
    id: int = 0
    rvm_id: int
    admin_id: int | None = None
    start_time: datetime
    end_time: datetime | None = None
    status: str = "active"
    ip_address: str | None = None
    port: int | None = None
    created_at: datetime
    admin_name: str | None = None
    reason: str | None = None
    duration_s: float | None = None
    expires_at: datetime | None = None
    allow: tuple[str, ...] | None = None
    ports: tuple[int, ...] | None = None
    origin: str = "hub"
    approved_by: str | None = None
    approved_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str | None = None
    command_id: str | None = None


class RecordingRow(TableRow, frozen=True, kw_only=True):
    """`state`: recording, waiting (on the hub's disk), stored (in the store), lost."""

    TABLE: ClassVar[str] = "remote_recordings"
    id: int = 0
    session_id: int
    rvm_id: int
    machine_name: str
    user_id: int
    user_name: str
    ip_address: str | None = None
    reason: str | None = None
    state: str
    started_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None
    duration_s: float | None = None
    size: int | None = None
    sha256: str | None = None
    object_key: str | None = None
    input_recorded: bool
    cols: int
    rows: int


RECORDS: Final[tuple[type[TableRow], ...]] = tuple(
    dict.fromkeys((
        *TableRow.__subclasses__(), EnrolmentCodeRow, EnrolmentRow, DestinationRow, NotificationRow, RecoveryCodeRow,
        TroubleRow, TwoStepRow,
    ))
)  # fmt: skip

FLEET: Final = 1
CONFIG_VERSION: Final = "config_version"
"""Counter of the newest settings' version: its row makes writers take turns."""

PENDING_STATES: Final = ("queued", "sent", "accepted", "running")
TERMINAL_STATES: Final = ("succeeded", "failed", "rejected", "expired", "cancelled")
OPEN_SESSION: Final = ("requested", "starting", "active")
SESSION_PARTS: Final = ("terminal", "ports", "files")


class OpenWhile(NamedTuple):
    """A row ends once: it is open while `column` is one of `states`. `repeats`: the same end again repeats a write
    of unknown outcome, and is welcome."""

    column: str
    states: tuple[str, ...]
    repeats: bool = False


OPEN: Final[Mapping[type[TableRow], OpenWhile]] = {
    CommandRow: OpenWhile("state", PENDING_STATES, repeats=True),
    RemoteSessionRow: OpenWhile("status", OPEN_SESSION),
    BackupRow: OpenWhile("upload_status", OPEN_BACKUP),
}

_LISTS: Final = {
    of.TABLE: tuple(field.name for field in msgspec.structs.fields(of) if "tuple" in str(field.type)) for of in RECORDS
}


def record(of: type[R], values: Mapping[str, Any]) -> R:
    return of(**in_members(of, values))


def in_members(of: type[TableRow], values: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(values[name]) for name in _LISTS[of.TABLE] if values.get(name) is not None}
    return {**values, **lists}


def is_open(row: TableRow) -> bool:
    rule = OPEN[type(row)]
    return getattr(row, rule.column) in rule.states
