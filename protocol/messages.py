"""Every message of the link as a type: what decodes is valid, and the error names the field.

Shapes and names are normative (protocol.md). Two unions, one for each direction; a third of both for tools.
Percentages are 0-100, temperatures degrees C, timestamps RFC 3339 text (interpreted by the hub, which knows the
machine's zone); an absent reading is None.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from protocol import limits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME, pattern=r"^[^\x00]*\Z")]
Text = Annotated[str, msgspec.Meta(max_length=limits.MAX_TEXT, pattern=r"^[^\x00]*\Z")]
Seq = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Version = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Status = Literal["active", "inactive", "maintenance", "full", "error", "unknown"]
SpecialStatus = Literal["maintenance", "inactive", "error", "unknown"]
Capacity = Annotated[int, msgspec.Meta(ge=0, le=100)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
TemperatureC = Annotated[float, msgspec.Meta(ge=limits.TEMPERATURE_MIN_C, le=limits.TEMPERATURE_MAX_C)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Timestamp = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*\Z")]
UpdateState = Literal["accepted", "running", "succeeded", "failed", "rejected"]
TERMINAL_UPDATES = frozenset({"succeeded", "failed", "rejected"})
SyncMethod = Literal["automatic", "manual"]


class Sample(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One set of readings. `reasons` says for each absent reading why ({"gpu_usage": "no GPU found"}).

    `timestamp` is RFC 3339 text, or Unix seconds as a number.
    """

    timestamp: Timestamp | float
    cpu_usage: Percent | None = None
    memory_usage: Percent | None = None
    disk_usage: Percent | None = None
    gpu_usage: Percent | None = None
    temperature: TemperatureC | None = None
    network_rx_bytes_s: NonNegative | None = None
    network_tx_bytes_s: NonNegative | None = None
    uptime_s: NonNegative | None = None
    power_w: NonNegative | None = None
    throttled: bool | None = None
    reasons: dict[Name, Text] | None = None


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    phase: Name
    done: float | None = None
    total: float | None = None


class Failure(msgspec.Struct, kw_only=True):
    code: Name
    message: Text


class Configuration(msgspec.Struct, kw_only=True):
    version: Version
    values: dict[str, Any]


# --- machine to hub -------------------------------------------------------------------------------------------------


class Auth(msgspec.Struct, kw_only=True, tag="auth", omit_defaults=True):
    """First frame of a client that cannot set headers; never logged."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    rvm_id: int | str | None = None


class Hello(msgspec.Struct, kw_only=True, tag="hello", omit_defaults=True):
    protocol: int
    device_id: Name
    agent_version: Name
    boot_id: Name
    capabilities: Annotated[list[Name], msgspec.Meta(max_length=100)]
    status: Status
    config_version: Version
    time: Timestamp
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    timezone: Name | None = None
    hardware: dict[str, Any] | None = None


class Metrics(msgspec.Struct, kw_only=True, tag="metrics", omit_defaults=True):
    """`seq` numbers the last sample in the frame; the others count back from it one by one."""

    seq: Seq
    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=limits.MAX_SAMPLES_PER_FRAME)]
    live: bool = False


class StatusReport(msgspec.Struct, kw_only=True, tag="status", omit_defaults=True):
    status: Status
    seq: Seq
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    reason: Text | None = None


class CommandUpdate(msgspec.Struct, kw_only=True, tag="command_update", omit_defaults=True):
    id: Name
    state: UpdateState
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: Failure | None = None


class TimezoneReport(msgspec.Struct, kw_only=True, tag="timezone", omit_defaults=True):
    timezone: Name
    timestamp: Timestamp
    sync_method: SyncMethod
    country: Name | None = None
    city: Name | None = None
    ip: Name | None = None
    clock_offset: float | None = None
    ntp: bool | None = None


class ConfigApplied(msgspec.Struct, kw_only=True, tag="config_applied", omit_defaults=True):
    version: Version
    errors: dict[str, str] | None = None


class Event(msgspec.Struct, kw_only=True, tag="event"):
    seq: Seq
    code: Name
    params: dict[str, Any]
    timestamp: Timestamp


class Bye(msgspec.Struct, kw_only=True, tag="bye"):
    reason: Literal["shutdown", "reboot", "update"]


# --- hub to machine -------------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, kw_only=True, tag="welcome"):
    session_id: Name
    time: Timestamp
    protocol: int
    config: Configuration
    live_interval: Seconds


class MetricsAck(msgspec.Struct, kw_only=True, tag="metrics_ack"):
    seq: Seq


class Received(msgspec.Struct, kw_only=True, tag="received"):
    ref: int | str


class Command(msgspec.Struct, kw_only=True, tag="command"):
    id: Name
    name: Name
    args: dict[str, Any]
    issued_at: Timestamp
    expires_at: Timestamp


class Cancel(msgspec.Struct, kw_only=True, tag="cancel"):
    id: Name


class Config(msgspec.Struct, kw_only=True, tag="config"):
    version: Version
    values: dict[str, Any]


class Live(msgspec.Struct, kw_only=True, tag="live"):
    interval: Seconds


class Restarting(msgspec.Struct, kw_only=True, tag="restarting"):
    reconnect_in: tuple[Seconds, Seconds]


class Error(msgspec.Struct, kw_only=True, tag="error", omit_defaults=True):
    """Said by either side about a message of the other; `ref` is that message's seq, id or type."""

    code: Name
    message: Annotated[str, msgspec.Meta(max_length=2 * limits.MAX_TEXT)]
    ref: int | str | None = None


MachineMessage = (
    Auth | Hello | Metrics | StatusReport | CommandUpdate | TimezoneReport | ConfigApplied | Event | Bye | Error
)
HubMessage = Welcome | MetricsAck | Received | Command | Cancel | Config | Live | Restarting | Error
Message = MachineMessage | HubMessage


def type_of(message: Message) -> str:
    """The `type` member under which a message travels."""
    return str(message.__struct_config__.tag)
