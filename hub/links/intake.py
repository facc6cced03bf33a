"""What a machine's message means: from a valid message and `now` to rows and Changes. Knows no link and no database.

The hub's clock and the link's own machine are the authority: nothing in a message can speak for another machine.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from db.rows import SampleRow
from hub.machine_settings.rules import reports
from hub.metrics.rules import two_decimals
from hub.model import actors
from hub.model.changes import Change, EventHappened, MachineIntroduced
from hub.model.dating import AHEAD, OLDEST, UndatableError, date, read, settle
from hub.model.machine import Boot, Machine
from hub.status.rules import status
from protocol import messages
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.version import SUPPORTED_VERSIONS
from protocol.zones import is_zone

_new_row = tuple.__new__  # a NamedTuple's own __new__ costs four times as much, for every sample
MAX_NAMED_FAULTS = 5
"""Faults of one frame that its `error` names; the rest is counted."""


class Taken(NamedTuple):
    """A metrics frame, dated and checked: `rows` to store, its newest readable sample, and what was left out."""

    rows: list[SampleRow]
    newest: messages.Sample | None
    newest_at: datetime
    faults: list[RemoteProtocolError]


def take_kept(machine: Machine, boot: Boot, frame: messages.Metrics, now: datetime, fallback_zone: str) -> Taken:
    """The samples of a kept frame that are not repeats, as rows; the caller moves `boot.accepted` to `frame.seq`.

    Sample k of n has the number seq - (n-1-k). Raises RemoteProtocolError when there are more samples than numbers.
    """
    samples = frame.samples
    first = frame.seq - len(samples) + 1
    if first < 0:
        raise RemoteProtocolError("invalid", "more samples than numbers up to seq", field="seq")
    start = boot.accepted + 1 - first
    if start < 0:
        start = 0
    rows: list[SampleRow] = []
    faults: list[RemoteProtocolError] = []
    rvm_id, boot_id, zone = machine.id, boot.id, machine.timezone
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
        rows.append(
            _new_row(
                SampleRow,
                (
                    rvm_id, at, boot_id, first + index, s.cpu_usage, s.memory_usage, s.disk_usage, s.gpu_usage,
                    two_decimals(s.temperature), s.network_rx_bytes_s, s.network_tx_bytes_s, s.uptime_s, s.power_w,
                    s.throttled, clamped, now,
                ),
            )
        )  # fmt: skip
    return Taken(rows, newest, at, faults)


def take_live(machine: Machine, frame: messages.Metrics, now: datetime, fallback_zone: str) -> Taken:
    """The newest sample of a live frame; nothing of it is stored. It is of now, whatever the machine's clock says."""
    newest = frame.samples[-1]
    try:
        at, _ = date(newest.timestamp, now, machine.timezone, fallback_zone)
        at = now if now - at > AHEAD else at
    except UndatableError as wrong:
        where = f"samples[{len(frame.samples) - 1}].timestamp"
        return Taken([], None, now, [RemoteProtocolError("invalid", str(wrong), field=where)])
    return Taken([], newest, at, [])


def newest_at(
    machine: Machine, boot_id: str | None, seq: int, taken_at: datetime, now: datetime, *, live: bool = False
) -> datetime | None:
    """The instant of a sample that is newer than the readings known, else None.

    A live sample is newest, and so is what has a later time: a spool that is being drained does not turn the page
    back. But a clock may be set back, by seconds or by years, and must not freeze it. So within a boot the number
    decides, and a known time that is in the future counts for nothing. What is newer by its number and far behind by
    its clock was taken now, as far as anybody can say.
    """
    known, (known_boot, known_seq) = machine.readings_at, machine.readings_of
    if live or known is None or taken_at >= known:
        return taken_at
    if boot_id is not None and boot_id == known_boot and seq > known_seq:
        return now if now - taken_at > AHEAD else taken_at
    return taken_at if known > now else None


def check_hello(machine: Machine, hello: messages.Hello) -> None:
    """Refuse a hello that may not become a link; raises RemoteProtocolError with the close code."""
    if hello.protocol not in SUPPORTED_VERSIONS:
        raise RemoteProtocolError(
            "no_common_version",
            f"this hub speaks versions {sorted(SUPPORTED_VERSIONS)}",
            field="protocol",
            close=CloseCode.NO_COMMON_VERSION,
        )
    # 4403, not 4400: the frame is well-formed, but this key may not speak for that machine, now or on a retry.
    # A machine that is configured with its number instead (requirements.md: `rvm_id` 1) introduces itself by that.
    if hello.device_id not in (machine.device_id, str(machine.id)):
        raise RemoteProtocolError(
            "wrong_machine", "the key belongs to another device_id", field="device_id", close=CloseCode.REVOKED
        )


def introduce(
    machine: Machine, hello: messages.Hello, epoch: int, ip: str | None, now: datetime, fallback_zone: str
) -> list[Change]:
    """What a hello makes true: the facts, an event when version or boot are new, and the status it declares."""
    try:
        offset = (read(hello.time, hello.timezone or machine.timezone, fallback_zone) - now).total_seconds()
    except UndatableError:
        offset = None
    introduced = MachineIntroduced(
        rvm_id=machine.id,
        at=now,
        epoch=epoch,
        agent_version=hello.agent_version,
        boot_id=hello.boot_id,
        capabilities=tuple(hello.capabilities),
        hardware=machine.hardware if hello.hardware is None else hello.hardware,
        timezone=hello.timezone if hello.timezone and is_zone(hello.timezone) else None,
        config_version=hello.config_version,
        clock_offset_s=offset,
        ip=ip,
        simulated=machine.simulated or "simulated" in hello.capabilities,
        ntp=hello.ntp,
        busy=bool(hello.busy),
    )
    changes: list[Change] = [introduced]
    if hello.config_version != machine.config_version and reports.was_given(machine, hello.config_version):
        changes += reports.applied(machine, hello.config_version, None, now)
    if (machine.agent_version, machine.boot_id) != (hello.agent_version, hello.boot_id):
        params = {"agent_version": hello.agent_version, "boot_id": hello.boot_id}
        changes.append(_event(machine, "machine.introduced", params, now))
    declared = status.not_stale(machine, hello, now)
    return changes + status.said_by_machine(machine, declared, now, introduced.capabilities)


def report_status(machine: Machine, boot_id: str, report: messages.StatusReport, now: datetime) -> list[Change]:
    """What a machine declares of itself; [] when it declares what is known already."""
    changes = status.said_by_machine(machine, report, now, machine.capabilities)
    # The numbers of status reports and of events may overlap: status counts on the other side of zero.
    return [
        msgspec.structs.replace(c, boot_id=boot_id, seq=-1 - report.seq) if isinstance(c, EventHappened) else c
        for c in changes
    ]


def report_event(
    machine: Machine, boot_id: str, report: messages.Event, now: datetime, fallback_zone: str
) -> list[Change]:
    """An event a machine reported, at its own time when that can be read."""
    try:
        at = date(report.timestamp, now, machine.timezone, fallback_zone).at
    except UndatableError:
        at = now
    params = {"code": report.code, "params": report.params}
    event = _event(machine, "machine.event", params, at)
    return [msgspec.structs.replace(event, boot_id=boot_id, seq=report.seq)]


def in_one_sentence(faults: list[RemoteProtocolError]) -> str:
    """What was left out of a frame, for its `error` message."""
    named = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults[:MAX_NAMED_FAULTS])
    more = len(faults) - MAX_NAMED_FAULTS
    return named if more <= 0 else f"{named}; and {more} more"


def _event(machine: Machine, code: str, params: dict[str, Any], at: datetime) -> EventHappened:
    return EventHappened(at=at, code=code, actor=actors.machine(machine.id), rvm_id=machine.id, params=params)
