"""Decides what a message means and when two links with one key conflict. A takeover is contested when the replaced
link was alive to the end: a machine whose network flaps is never quarantined. A float `now` is monotonic seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from db.records import BootRow, MachineRow
from db.rows import SampleRow
from hub.machine_settings import rules
from hub.machines import rules as machine_rules
from hub.metrics.rules import sample_row
from hub.model import actors
from hub.model.changes import Change, EventHappened, Observed, Patch, Put
from hub.model.dating import AHEAD, OLDEST, UndatableError, date, read, settle
from hub.model.machine import Boot, Machine
from hub.status import rules as status_rules
from protocol import messages
from protocol.errors import BOARD_REFUSED, BOARD_WAITS, CloseCode, RemoteProtocolError
from protocol.limits import CONTESTED_TAKEOVERS, TAKEOVER_WINDOW_S
from protocol.version import SUPPORTED_VERSIONS
from protocol.zones import is_zone

APART_S = 1.0  # A link is replaced at most this often (reliability.md, bar 31)
QUARANTINE = timedelta(seconds=300)
SLACK = timedelta(seconds=2)  # A clock kept in step goes back by this much; nothing is written then
MOST_ADDRESSES = 10


@dataclass(slots=True)
class Takeovers:
    """Of one machine's link: when it was last replaced; its contested takeovers (instant, older and newer address);
    until when a single one is enough for a quarantine."""

    last: float = float("-inf")
    # Bound: those within TAKEOVER_WINDOW_S, at most one a second.
    fights: deque[tuple[float, str, str]] = field(default_factory=deque)
    suspect_until: float = float("-inf")


def too_soon(seen: Takeovers, now: float) -> float | None:
    """Seconds until a link may be replaced; None: it may be now."""
    wait = seen.last + APART_S - now
    return wait if wait > 0 else None


def contested(seen: Takeovers, older: str, newer: str, now: float) -> bool:
    seen.fights.append((now, older, newer))
    while seen.fights and seen.fights[0][0] < now - TAKEOVER_WINDOW_S:
        seen.fights.popleft()
    return now < seen.suspect_until or len(seen.fights) >= CONTESTED_TAKEOVERS


def stale(seen: Takeovers, now: float) -> bool:
    newest = max(seen.last, seen.fights[-1][0] if seen.fights else seen.last)
    return newest < now - TAKEOVER_WINDOW_S and seen.suspect_until <= now


def held_for(machine: Machine, now: datetime) -> float | None:
    until = machine.row.quarantined_until
    return None if until is None or until <= now else min(until - now, QUARANTINE).total_seconds()


def too_far(machine: Machine, now: datetime) -> list[Change]:
    """Shorten a quarantine that ends too late because the clock was set back; [] where it does not."""
    until = machine.row.quarantined_until
    if until is None or until - now <= QUARANTINE + SLACK:
        return []
    return [Patch(MachineRow, machine.id, {"quarantined_until": now + QUARANTINE, "updated_at": now})]


def quarantine(machine: Machine, seen: Takeovers, now: datetime) -> list[Change]:
    addresses = list(dict.fromkeys(address for _, *pair in seen.fights for address in pair))
    until = now + QUARANTINE
    params = {"takeovers": len(seen.fights), "addresses": addresses[:MOST_ADDRESSES], "until": until.isoformat()}
    event = EventHappened(
        at=now, code="machine.quarantined", actor=actors.CLOCK, rvm_id=machine.id, params=params,
        before={"quarantined": False}, after={"quarantined": True},
    )  # fmt: skip
    return [Patch(MachineRow, machine.id, {"quarantined_until": until, "updated_at": now}), event]


def release(machine: Machine, actor: actors.Actor, now: datetime) -> list[Change]:
    if machine.row.quarantined_until is None:
        return []
    event = EventHappened(
        at=now, code="machine.released", actor=actor, rvm_id=machine.id, before={"quarantined": True},
        after={"quarantined": False},
    )  # fmt: skip
    return [Patch(MachineRow, machine.id, {"quarantined_until": None, "updated_at": now}), event]


MAX_NAMED_FAULTS = 5  # Faults of one frame that its `error` names; the rest is counted


def last_contact(machine: Machine, silent_s: float, now: datetime, bye: str | None = None) -> datetime:
    """When a machine whose link has ended was there last: its last message, or its answer to a ping after that. After a
    bye it is offline, whatever was answered."""
    answered, message = now - timedelta(seconds=silent_s), machine.last_seen_at
    if message is None:
        return answered
    return min(message if bye is not None else max(answered, message), now)


class Taken(NamedTuple):
    """What was made of a metrics frame: rows to store, the newest readable sample, and the faults of those left out."""

    rows: list[SampleRow]
    newest: messages.Sample | None
    newest_at: datetime
    faults: list[RemoteProtocolError]


def take_kept(machine: Machine, boot: Boot, frame: messages.Metrics, now: datetime, fallback_zone: str) -> Taken:
    """Rows of a frame of kept samples, without those taken before. Sample k of n has the number seq - (n-1-k); the
    caller moves `boot.accepted` to `frame.seq`. Raises RemoteProtocolError for more samples than numbers."""
    samples = frame.samples
    first = frame.seq - len(samples) + 1
    if first < 0:
        raise RemoteProtocolError("invalid", "more samples than numbers up to seq", field="seq")
    start = boot.accepted + 1 - first
    if start < 0:
        start = 0
    rows: list[SampleRow] = []
    faults: list[RemoteProtocolError] = []
    rvm_id, boot_id, zone = machine.id, boot.id, machine.row.timezone
    newest, at, clamped = None, now, False
    for index in range(start, len(samples)):
        s = samples[index]
        try:
            at, clamped = read(s.timestamp, zone, fallback_zone), False
            if not OLDEST <= at <= now:
                at, clamped = settle(at, now)
        except UndatableError as wrong:
            faults.append(RemoteProtocolError("invalid", str(wrong), field=f"samples[{index}].timestamp"))
            continue
        newest = s
        rows.append(sample_row(rvm_id, at, boot_id, first + index, s, clamped, now))
    return Taken(rows, newest, at, faults)


def take_live(machine: Machine, frame: messages.Metrics, now: datetime, fallback_zone: str) -> Taken:
    """The newest sample of a frame of live ones, dated now, whatever the machine's clock shows."""
    newest = frame.samples[-1]
    try:
        at, _ = date(newest.timestamp, now, machine.row.timezone, fallback_zone)
        at = now if now - at > AHEAD else at
    except UndatableError as wrong:
        where = f"samples[{len(frame.samples) - 1}].timestamp"
        return Taken([], None, now, [RemoteProtocolError("invalid", str(wrong), field=where)])
    return Taken([], newest, at, [])


def newest_at(
    machine: Machine, boot_id: str | None, seq: int, taken_at: datetime, now: datetime, *, live: bool = False
) -> datetime | None:
    """The instant to show for a sample, None where the known readings are newer. Within a boot the number decides;
    known readings from the future count for nothing. A sample that is newer by its number and far behind by its clock
    is dated now."""
    known, (known_boot, known_seq) = machine.readings_at, machine.readings_of
    if live or known is None or taken_at >= known:
        return taken_at
    if boot_id is not None and boot_id == known_boot and seq > known_seq:
        return now if now - taken_at > AHEAD else taken_at
    return taken_at if known > now else None


def check_hello(machine: Machine, hello: messages.Hello) -> None:
    if hello.protocol not in SUPPORTED_VERSIONS:
        raise RemoteProtocolError(
            "no_common_version",
            f"this hub speaks versions {sorted(SUPPORTED_VERSIONS)}",
            field="protocol",
            close=CloseCode.NO_COMMON_VERSION,
        )
    # 4403, not 4400: the frame is well-formed, but this key may not speak for that machine, now or on a retry.
    # A machine that is configured with its number instead (requirements.md: `rvm_id` 1) introduces itself by that.
    if hello.device_id not in (machine.row.device_id, str(machine.id)):
        raise RemoteProtocolError(
            "wrong_machine", "the key belongs to another device_id", field="device_id", close=CloseCode.REVOKED
        )
    if machine_rules.is_refused(machine.row, hello.hardware):
        raise RemoteProtocolError(
            BOARD_REFUSED, "this board may not use the machine's key", field="hardware", close=CloseCode.REVOKED
        )
    if machine_rules.is_held(machine.row, hello.hardware, wait=wants_approval(machine)):
        # A changed Jetson comes again within a minute, a copy seldom: it would use up what the machine's key may ask.
        is_copy = (machine.row.board_other or {}).get("held") == "clone"
        raise RemoteProtocolError(
            BOARD_WAITS, "this board waits until an administrator accepts it", field="hardware",
            close=CloseCode.REVOKED if is_copy else CloseCode.OVERLOADED,
        )  # fmt: skip


def wants_approval(machine: Machine) -> bool:
    """Whether a new board waits for a decision: as written at the hub, because the machine's own file decides nothing
    about its board."""
    return machine.effective_settings.written.get("new_board_approval") is True


def held_board(machine: Machine, hello: messages.Hello, now: datetime) -> list[Change]:
    """What to store of a board that `check_hello` is about to hold; []: nothing new."""
    row, wait = machine.row, wants_approval(machine)
    if machine_rules.is_refused(row, hello.hardware) or not machine_rules.is_held(row, hello.hardware, wait=wait):
        return []
    values = machine_rules.board_held(row, hello.hardware, now)
    return _board_changes(machine, "machine.board_held", values, row.board, now)


def cloned(machine: Machine, first: Mapping[str, Any], second: Mapping[str, Any], now: datetime) -> list[Change]:
    """Changes when two boards with the machine's key were connected at once."""
    return _board_changes(machine, "machine.board_cloned", machine_rules.board_cloned(first, second, now), first, now)


def _board_changes(
    machine: Machine, code: str, values: dict[str, Any], was: Mapping[str, Any] | None, now: datetime
) -> list[Change]:
    if not values:
        return []
    params = {"board": machine_rules.board_words(values["board_other"]), "was": machine_rules.board_words(was)}
    return [Patch(MachineRow, machine.id, {**values, "updated_at": now}), _event(machine, code, params, now)]


def introduce(
    machine: Machine, hello: messages.Hello, epoch: int, ip: str | None, now: datetime, fallback_zone: str
) -> list[Change]:
    """Changes of a stored `hello`: the machine's facts, an event when version or boot are new, and the declared
    status."""
    try:
        offset = (read(hello.time, hello.timezone or machine.row.timezone, fallback_zone) - now).total_seconds()
    except UndatableError:
        offset = None
    values = {
        "connection_epoch": epoch,
        "agent_version": hello.agent_version,
        "boot_id": hello.boot_id,
        "capabilities": tuple(hello.capabilities),
        "hardware": machine.row.hardware if hello.hardware is None else hello.hardware,
        "timezone": hello.timezone if hello.timezone and is_zone(hello.timezone) else machine.row.timezone,
        "config_version": hello.config_version,
        "clock_offset_s": offset,
        "ntp": hello.ntp,
        "last_ip": ip,
        "simulated": machine.row.simulated or "simulated" in hello.capabilities,
        "last_seen_at": now,
        "close_reason": None,
        "updated_at": now,
    }
    board = machine_rules.board_seen(machine.row, hello.hardware, now)
    values |= board
    changes: list[Change] = [
        Patch(MachineRow, machine.id, values, where=(("connection_epoch", "<=", epoch),), must="connection_epoch"),
        Put(BootRow(rvm_id=machine.id, boot_id=hello.boot_id, last_used_at=now), over=("last_used_at",)),
        Observed(machine.id, {"busy": bool(hello.busy)}),
    ]
    if hello.config_version != machine.row.config_version and rules.was_given(machine, hello.config_version):
        changes += rules.applied(machine, hello.config_version, None, now)
    if (machine.row.agent_version, machine.row.boot_id) != (hello.agent_version, hello.boot_id):
        params = {"agent_version": hello.agent_version, "boot_id": hello.boot_id}
        changes.append(_event(machine, "machine.introduced", params, now))
    if "board_other_at" in board:
        params = {
            "board": machine_rules.board_words(board["board_other"]),
            "was": machine_rules.board_words(machine.row.board),
        }
        changes.append(_event(machine, "machine.board_changed", params, now))
    declared = status_rules.not_stale(machine, hello, now)
    return changes + status_rules.reported_by_machine(machine, declared, now, tuple(hello.capabilities))


def report_status(machine: Machine, boot_id: str, report: messages.StatusReport, now: datetime) -> list[Change]:
    """Changes of a machine's status report; [] when nothing is new."""
    changes = status_rules.reported_by_machine(machine, report, now, machine.capabilities)
    # The numbers of status reports and of events may overlap: status counts on the other side of zero.
    return [
        msgspec.structs.replace(c, boot_id=boot_id, seq=-1 - report.seq) if isinstance(c, EventHappened) else c
        for c in changes
    ]


def report_event(
    machine: Machine, boot_id: str, report: messages.Event, now: datetime, fallback_zone: str
) -> list[Change]:
    try:
        at = date(report.timestamp, now, machine.row.timezone, fallback_zone).at
    except UndatableError:
        at = now
    params = {"code": report.code, "params": report.params}
    event = _event(machine, "machine.event", params, at)
    return [msgspec.structs.replace(event, boot_id=boot_id, seq=report.seq)]


def report_trust(machine: Machine, report: messages.TrustReport, now: datetime) -> list[Change]:
    """Update which authorities a machine trusts, as its `hello` reported them; [] when nothing is new, or for a machine
    that pins none."""
    hardware = machine.row.hardware or {}
    pinned = hardware.get("hub_tls")
    if (
        not isinstance(pinned, dict)
        or pinned.get("mode") != "pinned"
        or pinned.get("authorities") == report.authorities
    ):
        return []
    now_pinned = {**pinned, "authorities": report.authorities, "authority_until": report.until}
    return [Patch(MachineRow, machine.id, {"hardware": {**hardware, "hub_tls": now_pinned}, "updated_at": now})]


def in_one_sentence(faults: list[RemoteProtocolError]) -> str:
    named = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults[:MAX_NAMED_FAULTS])
    more = len(faults) - MAX_NAMED_FAULTS
    return named if more <= 0 else f"{named}; and {more} more"


def _event(machine: Machine, code: str, params: dict[str, Any], at: datetime) -> EventHappened:
    return EventHappened(at=at, code=code, actor=actors.machine(machine.id), rvm_id=machine.id, params=params)


def certificate_refused(machine: Machine, fault: str, address: str, now: datetime) -> EventHappened:
    """The event of a key that came without its machine's certificate."""
    return EventHappened(
        at=now, code="machine.certificate_refused", actor=actors.CLOCK, rvm_id=machine.id,
        params={"fault": fault, "address": address},
    )  # fmt: skip
