"""One machine as the hub knows it now: its row, what is observed of it, and its open commands. Values only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from db.backup_records import BackupRow
from db.records import CommandRow, MachineRow, RemoteSessionRow, ZoneRow
from hub.model import actors
from hub.model.effective_settings import (
    UNWRITTEN,
    DesiredSettings,
    EffectiveSettings,
    ReportedSettings,
    nothing_written,
    reported_settings_of,
)
from protocol.messages import Sample

RECENT_SECONDS = 300
"""How far back `Machine.recent` reaches."""
RECENT_SAMPLES = 300


class HealthReason(NamedTuple):
    """`code` names the reading, `limit` the threshold it passed."""

    code: str
    value: float
    limit: float


BOOTS_KEPT: Final = 50
"""Those used last, and that of the last hello. A boot must be known while its samples can be repeated; one that goes
too early costs samples stored twice."""


@dataclass(slots=True)
class Boot:
    """One run of a machine's counter. `id` is machine_boots.id, None until it is stored. `accepted` is the highest
    sequence number taken: a sample at or below it is a repeat."""

    boot_id: str
    id: int | None = None
    accepted: int = -1


@dataclass(slots=True)
class Machine:
    """`row` is what the database has, replaced by the fleet when a Change is applied; then what other tables hold, and
    what is observed. `last_heard`, `unlinked_at`, `interval_since`, `quiet_until` are monotonic seconds;
    `event_connection` is that of the last event."""

    row: MachineRow
    zone: ZoneRow | None = None
    zone_reported_at: str | None = None
    desired_settings: DesiredSettings = UNWRITTEN

    effective_settings: EffectiveSettings = field(default_factory=nothing_written)
    """Kept so by the fleet."""
    connection: str = "never"
    connection_since: datetime | None = None
    connection_reason: str | None = None
    close_reason: str | None = None
    epoch: int = 0
    """Of the newest link; its hello may not be stored yet."""
    seen_at: datetime | None = None
    """Its last sign of life, where that is newer than the row's."""
    linked: bool = False
    last_heard: float = 0.0
    last_gap: float = 0.0
    unlinked_at: float | None = None
    grace: float = 10.0
    busy: bool = False
    """A return session is open on the machine, as it says itself."""
    uploads: bool = False
    """No link: samples come by REST (the HTTP fallback)."""
    event_connection: str = "never"
    quiet_until: float = 0.0
    interval: float = 300.0
    live_interval: float = 0.0
    """Seconds between live samples that it was asked for, or none."""
    interval_since: float = 0.0

    readings: Sample | None = None
    readings_at: datetime | None = None
    readings_of: tuple[str | None, int] = (None, -1)
    """The boot and the number of the newest readings, where they have one."""
    recent: deque[tuple[int, Sample]] = field(default_factory=lambda: deque(maxlen=RECENT_SAMPLES))
    health: str = "ok"
    health_reasons: tuple[HealthReason, ...] = ()

    remote_sessions: dict[int, RemoteSessionRow] = field(default_factory=dict)
    """Those that have not ended. Bound: MOST_OF_A_MACHINE, gone with their end."""
    backups: dict[int, BackupRow] = field(default_factory=dict)
    """Those that count now (hub.model.backups). Bound: three, as one is made at a time."""
    backup_full_at: datetime | None = None
    """When its backups reach their quota, if that is soon."""
    pending: dict[str, CommandRow] = field(default_factory=dict)  # Bound: MAX_PENDING, each to its deadline
    maybe_sent: set[str] = field(default_factory=set)  # Bound: a part of what was pending at the start
    """Recorded as queued, and perhaps sent all the same: the last hub life ended without a flush."""
    boots: dict[str, Boot] = field(default_factory=dict)
    """In order of use, those that are stored. Bound: BOOTS_KEPT."""
    reported: tuple[str, int] | None = None
    """Boot and number of the last status report that is stored."""

    def __post_init__(self) -> None:
        self.close_reason = self.close_reason or self.row.close_reason
        self.epoch = max(self.epoch, self.row.connection_epoch)

    @property
    def id(self) -> int:
        return self.row.id

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def last_seen_at(self) -> datetime | None:
        return self.seen_at or self.row.last_seen_at

    @property
    def capabilities(self) -> tuple[str, ...]:
        return self.row.capabilities or ()

    @property
    def effective_status(self) -> str:
        """`special_status` overrides the declaration while it lasts."""
        return self.row.special_status or self.row.status

    @property
    def reported_settings(self) -> ReportedSettings:
        """What its own file and environment set."""
        return reported_settings_of(self.row.config_own, self.row.config_errors)

    @property
    def returns_to(self) -> str | None:
        """The effective status that `status_until` gives back, where that was given."""
        before = self.row.status_before
        return None if before is None else before.get("special_status") or before.get("status")


def has_left(machine: Machine, command: CommandRow) -> bool:
    """Whether the machine may know of it. Only a command that never left can be ended without asking the machine."""
    return command.state != "queued" or command.id in machine.maybe_sent


def is_relayed(command: CommandRow) -> bool:
    """Whether it only passes on to the agent what was declared past it."""
    return command.name == "set_status" and not actors.asks(command.issued_by)
