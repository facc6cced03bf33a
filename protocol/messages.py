"""Every message of the link as a type: what decodes is valid, and the error names the field.

Shapes and names are normative (protocol.md). Two unions, one for each direction; a third of both for tools.
Percentages are 0-100, temperatures degrees C, timestamps RFC 3339 text (interpreted by the hub, which knows the
machine's zone); an absent reading is None. docs/protocol.md is made from these types and their docstrings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from protocol import limits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME, pattern=r"^[^\x00]*\Z")]
BootId = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""No control characters: what begins with one is a hub's own, and no machine can take its place."""
Text = Annotated[str, msgspec.Meta(max_length=limits.MAX_TEXT, pattern=r"^[^\x00]*\Z")]
Seq = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Version = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Ref = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)] | Name
FreeShape = dict[str, Any]
"""Members whose inside this package does not know; `protocol.free_shape` bounds them."""
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
ZoneSource = Literal["pinned", "lookup", "kept", "default"]


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
    """How far a running command is, in the command's own unit."""

    phase: Name
    done: float | None = None
    total: float | None = None


class Failure(msgspec.Struct, kw_only=True):
    """Why a command failed or was rejected: a code for programs, a sentence for people."""

    code: Name
    message: Text


class Configuration(msgspec.Struct, kw_only=True):
    """What was written at the hub for one machine, for itself or with the whole fleet, under its version. For every
    other key the machine's own file holds; version 0 comes without values: nobody has written any yet."""

    version: Version
    values: FreeShape


# --- machine to hub -------------------------------------------------------------------------------------------------


class Auth(msgspec.Struct, kw_only=True, tag="auth", omit_defaults=True):
    """First frame of a client that cannot set headers; never logged."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    rvm_id: Ref | None = None


class Hello(msgspec.Struct, kw_only=True, tag="hello", omit_defaults=True):
    """First message of every link once the machine is known: who it is and what it can do. Answered by `welcome`.

    `capabilities` is for people to read, but for two words: `until` (the machine itself gives a status back when its
    `until` has come; for one without the word the hub does it) and `simulated`. A command the machine does not know is
    answered `rejected` with the code `unsupported`. `busy`: a return session is open. `ntp`: whether the machine's
    clock is synchronised; absent when it cannot tell. `remote_session`: the remote access sessions that are open on the
    machine (none: an empty list); the hub stops those it knows nothing of.
    """

    protocol: Version
    device_id: Name
    agent_version: Name
    boot_id: BootId
    capabilities: Annotated[list[Name], msgspec.Meta(max_length=100)]
    status: Status
    config_version: Version
    time: Timestamp
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    timezone: Name | None = None
    hardware: FreeShape | None = None
    busy: bool | None = None
    ntp: bool | None = None
    remote_session: Annotated[list[Seq], msgspec.Meta(max_length=limits.MAX_REMOTE_SESSIONS)] | None = None


class Metrics(msgspec.Struct, kw_only=True, tag="metrics", omit_defaults=True):
    """`seq` numbers the last sample in the frame; the others count back from it one by one."""

    seq: Seq
    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=limits.MAX_SAMPLES_PER_FRAME)]
    live: bool = False


class StatusReport(msgspec.Struct, kw_only=True, tag="status", omit_defaults=True):
    """What the machine is, declared by itself; repeated after a reconnect until `received` names its `seq`.

    `until`: when the machine will give this declaration back by itself. `busy`: a return session is open.
    """

    status: Status
    seq: Seq
    capacity: Capacity | None = None
    special_status: SpecialStatus | None = None
    reason: Text | None = None
    until: Timestamp | None = None
    busy: bool | None = None


class CommandUpdate(msgspec.Struct, kw_only=True, tag="command_update", omit_defaults=True):
    """How a command goes. A final state (succeeded, failed, rejected) is repeated after a reconnect until `received`
    names the command's `id`."""

    id: Name
    state: UpdateState
    progress: Progress | None = None
    result: FreeShape | None = None
    error: Failure | None = None


class TimezoneReport(msgspec.Struct, kw_only=True, tag="timezone", omit_defaults=True):
    """The zone the machine found and how it came to it; said again after every `hello`, and recorded once for each
    `timestamp`.

    `source` tells where `timezone` came from: pinned by an operator, looked up by address in this attempt, kept from an
    earlier look-up because this one failed, or the default. `guess` is what a look-up answered when it differs from a
    pinned zone. `system_timezone` is the zone of the operating system after the attempt, `applied` whether it now is
    `timezone`, `error` why not; a look-up that failed comes first (`lookup_failed`), with the reason of each address.
    `restart` names the services that still run with the old zone. `clock_offset` is the machine's clock minus the hub's
    in seconds; the hub leaves out one beyond 1e10. A report older than the newest is recorded and changes nothing.
    """

    timezone: Name
    timestamp: Timestamp
    sync_method: SyncMethod
    country: Name | None = None
    city: Name | None = None
    ip: Name | None = None
    clock_offset: float | None = None
    ntp: bool | None = None
    source: ZoneSource | None = None
    guess: Name | None = None
    system_timezone: Name | None = None
    applied: bool | None = None
    error: Failure | None = None
    restart: Annotated[list[Name], msgspec.Meta(max_length=20)] | None = None


class ConfigApplied(msgspec.Struct, kw_only=True, tag="config_applied", omit_defaults=True):
    """The configuration of that version is in force, except the keys in `errors`.

    `own` is what the machine's own file and environment set, whatever the hub wrote: for a key that nobody wrote there,
    and for one in `errors`, it is in force. Left out: nothing is set. Never a key of the block `server`, never a
    secret.
    """

    version: Version
    errors: dict[Name, Text] | None = None
    own: dict[Name, Any] | None = None


class Event(msgspec.Struct, kw_only=True, tag="event"):
    """Something happened on the machine; repeated after a reconnect until `received` names its `seq`.

    At most 2048 bytes of `params` as JSON: a larger event is answered with `error` (`invalid`) and never stored. Beyond
    300 events at once and 60 a minute the hub answers `received` all the same, but only counts them.
    """

    seq: Seq
    code: Name
    params: FreeShape
    timestamp: Timestamp


class RemoteAccessReport(msgspec.Struct, kw_only=True, tag="remote_access", omit_defaults=True):
    """How a remote access session goes on the machine; `ended` is repeated after a reconnect until `received` names
    `session-<session_id>`, and nothing else is answered.

    `reason` of an end: stopped, timed_out, link_lost, agent_restarted, machine_rebooted, revoked, start_failed, idle or
    protocol_error. Other words are kept as they are.
    """

    session_id: Seq
    state: Literal["active", "ended"]
    at: Timestamp
    reason: Name | None = None


class Bye(msgspec.Struct, kw_only=True, tag="bye"):
    """A clean farewell: the hub shows the machine offline at once."""

    reason: Literal["shutdown", "reboot", "update"]


# --- hub to machine -------------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, kw_only=True, tag="welcome"):
    """The answer to `hello`; the link is live from here on."""

    session_id: Name
    time: Timestamp
    protocol: Version
    config: Configuration
    live_interval: Seconds


class MetricsAck(msgspec.Struct, kw_only=True, tag="metrics_ack"):
    """Every kept sample up to `seq` is committed. Only this frees the machine's spool."""

    seq: Seq


class Received(msgspec.Struct, kw_only=True, tag="received"):
    """The `status` or `event` with this `seq`, the final `command_update` with this `id`, or the end of the remote
    access session n (`session-n`) is committed."""

    ref: Ref


class Command(msgspec.Struct, kw_only=True, tag="command"):
    """Do this once, before `expires_at`. The same `id` again is answered from the machine's journal."""

    id: Name
    name: Name
    args: FreeShape
    issued_at: Timestamp
    expires_at: Timestamp


class Cancel(msgspec.Struct, kw_only=True, tag="cancel"):
    """Stop the command with this `id` if it still can be stopped: then it ends `rejected` with the code `cancelled`,
    also when the command itself never arrived. One that has ended is answered from the journal."""

    id: Name


class Config(msgspec.Struct, kw_only=True, tag="config"):
    """Every dynamic setting that was written at the hub for this machine; answered by `config_applied`. A key that is
    not among them any more is the machine's own business again, at once."""

    version: Version
    values: FreeShape


class Live(msgspec.Struct, kw_only=True, tag="live"):
    """Somebody watches: send a live sample every `interval` seconds; 0 ends it."""

    interval: Seconds


class Restarting(msgspec.Struct, kw_only=True, tag="restarting"):
    """The hub goes away for a moment: come back after a random time between the two numbers of seconds."""

    reconnect_in: tuple[Seconds, Seconds]


class Error(msgspec.Struct, kw_only=True, tag="error", omit_defaults=True):
    """Said by either side about a message of the other; `ref` is that message's seq, id or type."""

    code: Name
    message: Annotated[str, msgspec.Meta(max_length=limits.MAX_ERROR_TEXT)]
    ref: Ref | None = None


MachineMessage = (
    Auth
    | Hello
    | Metrics
    | StatusReport
    | CommandUpdate
    | TimezoneReport
    | ConfigApplied
    | Event
    | RemoteAccessReport
    | Bye
    | Error
)
HubMessage = Welcome | MetricsAck | Received | Command | Cancel | Config | Live | Restarting | Error
Message = MachineMessage | HubMessage


def type_of(message: Message) -> str:
    """The `type` member under which a message travels."""
    return str(message.__struct_config__.tag)
