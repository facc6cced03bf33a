"""Every message of the link as a type: what decodes is valid, and the error names the field.

Shapes and names are normative (protocol.md). Two unions, one for each direction; a third of both for tools.
Percentages are 0-100, temperatures degrees C, timestamps RFC 3339 text (interpreted by the hub, which knows the
machine's zone); an absent reading is None. docs/protocol.md is made from these types and their docstrings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from protocol import kinds, limits
from protocol.board import Board
from protocol.enrolment import KeyPrefix, Sha256


class Sample(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One set of readings. `reasons` says for each absent reading why ({"gpu_usage": "no GPU found"}).

    `timestamp` is RFC 3339 text, or Unix seconds as a number. `t` and `z` may be small, a leap second (`23:59:60Z`)
    is read as the moment after it, a date alone is no timestamp.
    """

    timestamp: kinds.Timestamp | float
    cpu_usage: kinds.Percent | None = None
    memory_usage: kinds.Percent | None = None
    disk_usage: kinds.Percent | None = None
    gpu_usage: kinds.Percent | None = None
    temperature: kinds.TemperatureC | None = None
    network_rx_bytes_s: kinds.NonNegative | None = None
    network_tx_bytes_s: kinds.NonNegative | None = None
    uptime_s: kinds.NonNegative | None = None
    power_w: kinds.NonNegative | None = None
    throttled: bool | None = None
    reasons: dict[kinds.Name, kinds.Text] | None = None


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a running command is, in the command's own unit."""

    phase: kinds.Name
    done: float | None = None
    total: float | None = None


class Failure(msgspec.Struct, kw_only=True):
    """Why a command failed or was rejected: a code for programs, a sentence for people."""

    code: kinds.Name
    message: kinds.Text


class Configuration(msgspec.Struct, kw_only=True):
    """What was written at the hub for one machine, for itself or with the whole fleet, under its version. For every
    other key the machine's own file holds; version 0 comes without values: nobody has written any yet."""

    version: kinds.Version
    values: kinds.FreeShape


# --- machine to hub -------------------------------------------------------------------------------------------------


class Auth(msgspec.Struct, kw_only=True, tag="auth", omit_defaults=True):
    """First frame of a client that cannot set headers; never logged."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    rvm_id: kinds.Ref | None = None


class Hello(msgspec.Struct, kw_only=True, tag="hello", omit_defaults=True):
    """First message of every link once the machine is known: who it is and what it can do. Answered by `welcome`.

    `capabilities` is for people to read, but for two words: `until` (the machine itself gives a status back when its
    `until` has come; for one without the word the hub does it) and `simulated`. A command the machine does not know is
    answered `rejected` with the code `unsupported`. `busy`: a return session is open. `ntp`: whether the machine's
    clock is synchronised; absent when it cannot tell. `remote_session`: the remote access sessions that are open on the
    machine (none: an empty list); the hub stops those it knows nothing of.
    """

    protocol: kinds.Version
    device_id: kinds.Name
    agent_version: kinds.Name
    boot_id: kinds.BootId
    capabilities: Annotated[list[kinds.Name], msgspec.Meta(max_length=100)]
    status: kinds.Status
    config_version: kinds.Version
    time: kinds.Timestamp
    capacity: kinds.Capacity | None = None
    special_status: kinds.SpecialStatus | None = None
    timezone: kinds.Name | None = None
    hardware: kinds.FreeShape | None = None
    busy: bool | None = None
    ntp: bool | None = None
    remote_session: Annotated[list[kinds.Seq], msgspec.Meta(max_length=limits.MAX_REMOTE_SESSIONS)] | None = None


class Metrics(msgspec.Struct, kw_only=True, tag="metrics", omit_defaults=True):
    """`seq` numbers the last sample in the frame; the others count back from it one by one."""

    seq: kinds.Seq
    samples: Annotated[list[Sample], msgspec.Meta(min_length=1, max_length=limits.MAX_SAMPLES_PER_FRAME)]
    live: bool = False


class StatusReport(msgspec.Struct, kw_only=True, tag="status", omit_defaults=True):
    """What the machine is, declared by itself; repeated after a reconnect until `received` names its `seq`.

    `until`: when the machine will give this declaration back by itself. `busy`: a return session is open.
    """

    status: kinds.Status
    seq: kinds.Seq
    capacity: kinds.Capacity | None = None
    special_status: kinds.SpecialStatus | None = None
    reason: kinds.Text | None = None
    until: kinds.Timestamp | None = None
    busy: bool | None = None


class CommandUpdate(msgspec.Struct, kw_only=True, tag="command_update", omit_defaults=True):
    """How a command goes. A final state (succeeded, failed, rejected) is repeated after a reconnect until `received`
    names the command's `id`."""

    id: kinds.Name
    state: kinds.UpdateState
    progress: Progress | None = None
    result: kinds.FreeShape | None = None
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

    timezone: kinds.Name
    timestamp: kinds.Timestamp
    sync_method: kinds.SyncMethod
    country: kinds.Name | None = None
    city: kinds.Name | None = None
    ip: kinds.Name | None = None
    clock_offset: float | None = None
    ntp: bool | None = None
    source: kinds.ZoneSource | None = None
    guess: kinds.Name | None = None
    system_timezone: kinds.Name | None = None
    applied: bool | None = None
    error: Failure | None = None
    restart: Annotated[list[kinds.Name], msgspec.Meta(max_length=20)] | None = None


class ConfigApplied(msgspec.Struct, kw_only=True, tag="config_applied", omit_defaults=True):
    """The configuration of that version is in force, except the keys in `errors`.

    Sent after every `welcome`: whoever begins remote access before waits for it, 3 s at most. A machine that has
    never sent it cannot be reached remotely unless its `admin_ips` are written at the hub.

    `own` is what the machine's own file and environment set, whatever the hub wrote: for a key that nobody wrote there,
    and for one in `errors`, it is in force. Left out: nothing is set. Never a key of the block `server`, never a
    secret.
    """

    version: kinds.Version
    errors: dict[kinds.Name, kinds.Text] | None = None
    own: dict[kinds.Name, Any] | None = None


class Event(msgspec.Struct, kw_only=True, tag="event"):
    """Something happened on the machine; repeated after a reconnect until `received` names its `seq`.

    At most 2048 bytes of `params` as JSON: a larger event is answered with `error` (`invalid`) and never stored. Beyond
    300 events at once and 60 a minute the hub answers `received` all the same, but only counts them.
    """

    seq: kinds.Seq
    code: kinds.Name
    params: kinds.FreeShape
    timestamp: kinds.Timestamp


class RemoteAccessReport(msgspec.Struct, kw_only=True, tag="remote_access", omit_defaults=True):
    """How a remote access session goes on the machine; `ended` is repeated after a reconnect until `received` names
    `session-<session_id>`, and nothing else is answered.

    `reason` of an end: stopped, timed_out, link_lost, agent_restarted, machine_rebooted, revoked, start_failed, idle or
    protocol_error. Other words are kept as they are.
    """

    session_id: kinds.Seq
    state: Literal["active", "ended"]
    at: kinds.Timestamp
    reason: kinds.Name | None = None


class KeyOffer(msgspec.Struct, kw_only=True, tag="key_offer"):
    """A new key that the machine has made for itself on `command` (`renew_key`): its prefix and the SHA-256 of the
    whole. The key itself never travels but as a credential.

    Answered by `received` with the prefix once it is committed: from then on old and new are both valid, until a link
    is opened with the new one. Sent again on each link until then; on the link that the new key has opened, `received`
    means that the old one is over. An `error` with the prefix: not wanted, or not any more; the old key stays.
    """

    command: kinds.Name
    key_prefix: KeyPrefix
    key_hash: Sha256


class TrustReport(msgspec.Struct, kw_only=True, tag="trust"):
    """The authorities that the machine pins from now on, by their SHA-256: said after it took others over from the hub
    (`authority`, `welcome`). Not answered; the next `hello` names them, too. `until`: when the last of them ends."""

    authorities: Annotated[list[kinds.Name], msgspec.Meta(max_length=limits.MAX_AUTHORITIES)]
    until: kinds.Timestamp | None = None


class BoardReport(msgspec.Struct, kw_only=True, tag="board"):
    """What the board is made of and how it fares. Sent after every `welcome` and when it has changed, once a minute at
    most; never answered, the newest counts. A hub that does not know it answers `error` (`unsupported`): then it is
    sent no more on this link."""

    board: Board


class Bye(msgspec.Struct, kw_only=True, tag="bye"):
    """A clean goodbye: the hub shows the machine offline at once."""

    reason: Literal["shutdown", "reboot", "update"]


# --- hub to machine -------------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, kw_only=True, tag="welcome", omit_defaults=True):
    """The answer to `hello`; the link is live from here on.

    `authority`: the certificates (PEM) of the hub's private authorities, when a machine that pins one reported others
    in `hardware.hub_tls.authorities`. It trusts them instead, once a connection of its own was verified by them.
    """

    session_id: kinds.Name
    time: kinds.Timestamp
    protocol: kinds.Version
    config: Configuration
    live_interval: kinds.Seconds
    authority: Annotated[str, msgspec.Meta(max_length=limits.MAX_AUTHORITY)] | None = None


class MetricsAck(msgspec.Struct, kw_only=True, tag="metrics_ack"):
    """Every kept sample up to `seq` is committed. Only this frees the machine's spool."""

    seq: kinds.Seq


class Received(msgspec.Struct, kw_only=True, tag="received"):
    """The `status` or `event` with this `seq`, the final `command_update` with this `id`, or the end of the remote
    access session n (`session-n`) is committed; or the `key_offer` with this prefix."""

    ref: kinds.Ref


class Command(msgspec.Struct, kw_only=True, tag="command"):
    """Do this once, before `expires_at`. The same `id` again is answered from the machine's journal."""

    id: kinds.Name
    name: kinds.Name
    args: kinds.FreeShape
    issued_at: kinds.Timestamp
    expires_at: kinds.Timestamp


class Cancel(msgspec.Struct, kw_only=True, tag="cancel"):
    """Stop the command with this `id` if it still can be stopped: then it ends `rejected` with the code `cancelled`,
    also when the command itself never arrived. One that has ended is answered from the journal."""

    id: kinds.Name


class Config(msgspec.Struct, kw_only=True, tag="config"):
    """Every dynamic setting that was written at the hub for this machine; answered by `config_applied`. A key that is
    not among them any more is the machine's own business again, at once."""

    version: kinds.Version
    values: kinds.FreeShape


class Live(msgspec.Struct, kw_only=True, tag="live"):
    """Somebody watches: send a live sample every `interval` seconds; 0 ends it."""

    interval: kinds.Seconds


class Authority(msgspec.Struct, kw_only=True, tag="authority"):
    """The hub's private authorities were changed while the link was live: as `authority` in `welcome`, for a machine
    that pins others. Answered by `trust` once they are taken over; refused ones come again."""

    certificates: Annotated[str, msgspec.Meta(max_length=limits.MAX_AUTHORITY)]


class Restarting(msgspec.Struct, kw_only=True, tag="restarting"):
    """The hub goes away for a moment: come back after a random time between the two numbers of seconds."""

    reconnect_in: tuple[kinds.Seconds, kinds.Seconds]


class Error(msgspec.Struct, kw_only=True, tag="error", omit_defaults=True):
    """Said by either side about a message of the other; `ref` is that message's seq, id or type."""

    code: kinds.Name
    message: Annotated[str, msgspec.Meta(max_length=limits.MAX_ERROR_TEXT)]
    ref: kinds.Ref | None = None


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
    | TrustReport
    | BoardReport
    | KeyOffer
    | Bye
    | Error
)
HubMessage = Welcome | MetricsAck | Received | Command | Cancel | Config | Live | Authority | Restarting | Error
Message = MachineMessage | HubMessage


def type_of(message: Message) -> str:
    """The `type` member under which a message travels."""
    return str(message.__struct_config__.tag)
