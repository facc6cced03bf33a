"""The shapes of the answers, for the OpenAPI document; `hub.model.views` produces them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hub.web.http.validation import Instant
from protocol.kinds import SpecialStatus, Status

Connection = Literal["live", "late", "offline", "never"]
CommandState = Literal[
    "queued", "sent", "accepted", "running", "succeeded", "failed", "rejected", "expired", "cancelled"
]


class HealthReason(msgspec.Struct):
    code: str
    value: float
    limit: float


class Readings(msgspec.Struct):
    """The newest readings. A reading the hardware cannot give is null, and `reasons` says why."""

    cpu_usage: float | None
    memory_usage: float | None
    disk_usage: float | None
    gpu_usage: float | None
    temperature: float | None
    network_rx_bytes_s: float | None
    network_tx_bytes_s: float | None
    uptime_s: float | None
    power_w: float | None
    throttled: bool | None
    taken_at: Instant | None
    reasons: dict[str, str]


class Command(msgspec.Struct):
    """One command with its whole life so far; the state never leaves a terminal one."""

    id: str
    rvm_id: int
    name: str
    args: dict[str, Any]
    state: CommandState
    issued_by: str
    issued_at: Instant
    expires_at: Instant
    sent_at: Instant | None
    finished_at: Instant | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    group_id: str | None
    reason: str | None
    cancel_by: str | None
    cancel_at: Instant | None


class MachineStatus(msgspec.Struct):
    """The three truths: what the machine is declared to be (status), what the hub observes (connection), and what its
    readings say (health). `command` is the command this request drafted."""

    id: int
    device_id: str
    name: str
    status: Status
    special_status: SpecialStatus | None
    effective_status: Status
    capacity: int
    status_since: Instant
    status_by: str
    status_reason: str | None
    status_until: Instant | None
    returns_to: Status | None
    connection: Connection
    connection_since: Instant | None
    connection_reason: str | None
    last_seen_at: Instant | None
    health: Literal["ok", "warning", "critical"]
    health_reasons: list[HealthReason]
    command: Command | msgspec.UnsetType | None = msgspec.UNSET


class StatusDeclared(msgspec.Struct):
    """What the machine was declared to be from `since` until the `since` of the next newer declaration. `until` is the
    time that was set for giving back what was before."""

    id: int
    status: Status
    special_status: SpecialStatus | None
    effective_status: Status
    capacity: int
    since: Instant
    by: str
    reason: str | None
    until: Instant | None


class OldestSession(msgspec.Struct):
    """A machine's oldest open remote access session, as everybody who sees the machine may know it."""

    id: int
    admin_id: int | None
    name: str
    status: Literal["requested", "starting", "active"]
    since: Instant
    expires_at: Instant
    reason: str | None
    approval_wanted: bool
    allow: list[str]
    ports: list[int]
    origin: Literal["hub", "site"]


class MachineSummary(msgspec.Struct):
    """A machine as it is now. `commands`: those of the hub that its software names; `config_refused`: how many settings
    it could not take."""

    id: int
    device_id: str
    name: str
    location_description: str | None
    simulated: bool
    status: Status
    special_status: SpecialStatus | None
    effective_status: Status
    capacity: int
    status_since: Instant
    status_by: str
    status_reason: str | None
    status_until: Instant | None
    returns_to: Status | None
    connection: Connection
    connection_since: Instant | None
    connection_reason: str | None
    last_seen_at: Instant | None
    expected_interval_s: float
    health: Literal["ok", "warning", "critical"]
    health_reasons: list[HealthReason]
    readings: Readings | None
    agent_version: str | None
    boot_id: str | None
    commands: list[str]
    model: str | None
    timezone: str | None
    config_version: int
    config_wanted: int
    config_refused: int
    config_applied_at: Instant | None
    clock_offset_s: float | None
    ntp: bool | None
    busy: bool
    quarantined_until: Instant | None
    last_ip: str | None
    api_key_prefix: str | None
    pending: list[Command]
    lease: OldestSession | None
    created_at: Instant
    updated_at: Instant


class Machine(MachineSummary):
    """Everything the hub knows of a machine now, also what the machine words itself."""

    capabilities: list[str]
    hardware: dict[str, Any] | None
    config_errors: dict[str, str] | None


class MachineWithKey(Machine):
    """A machine just added. `api_key` is shown here and never again."""

    api_key: str


class NewKey(msgspec.Struct):
    """`api_key` is shown here and never again; the old one is dead and its link closed."""

    id: int
    device_id: str
    api_key: str
    api_key_prefix: str


class Event(msgspec.Struct):
    """One line of the record: a code and parameters; each reader's language makes the sentence."""

    id: int
    at: Instant
    code: str
    actor: str
    rvm_id: int | None
    params: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
