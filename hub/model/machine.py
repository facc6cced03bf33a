"""One machine as the hub knows it now: its row, what is observed, its open commands."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final, NamedTuple

from db.backup_records import BackupRow
from db.records import CommandRow, MachineRow, RemoteSessionRow, ZoneRow
from db.trouble_records import TroubleRow
from hub.model import actors
from hub.model.effective_settings import (
    UNWRITTEN,
    DesiredSettings,
    EffectiveSettings,
    ReportedSettings,
    nothing_written,
    reported_settings_of,
)
from hub.model.trend import Trend
from protocol.instants import parse
from protocol.messages import Sample

UNSET_ZONES: Final = frozenset(
    {"UTC", "UCT", "GMT", "Zulu", "Universal", "Etc/UTC", "Etc/UCT", "Etc/GMT", "Etc/Zulu", "Etc/Universal"}
)
RECENT_SECONDS = 300
RECENT_SAMPLES = 300
MAX_TAG: Final = 32
"""Characters of a tag: short words of the operator's own, by which machines are filtered and grouped."""
MAX_TAGS: Final = 10
"""Of one machine."""
MAX_TAGS_OF_USER: Final = 50
"""By which a technician has machines."""


class HealthReason(NamedTuple):
    """A reading (`code`) at or beyond its threshold (`limit`)."""

    code: str
    value: float
    limit: float


HOLD_S: Final[Mapping[str, float]] = {"cpu_usage": 60.0, "memory_usage": 60.0}
"""From the first sample beyond the limit to another one, before it counts. Heat and disks do not jump."""


class Lasting(NamedTuple):
    """Since when a reading (`code`) is beyond its limit: its first and its last sample there."""

    code: str
    since: datetime
    last: datetime

    @property
    def counts(self) -> bool:
        return (self.last - self.since).total_seconds() >= HOLD_S.get(self.code, 0.0)


BOOTS_KEPT: Final = 50
"""Those used last, and the last hello's. A boot must be known while its samples can be repeated: dropped too early,
they are stored twice."""


@dataclass(slots=True)
class Boot:
    """One run of a machine's counter. `id`: machine_boots.id, None until stored. `accepted`: the highest number
    taken; a sample at or below it is a repeat."""

    boot_id: str
    id: int | None = None
    accepted: int = -1


@dataclass(slots=True)
class Machine:
    """What the hub knows of a machine. `row`: as in the database, replaced when a Change is applied; then what other
    tables hold, and what is observed. `last_heard`, `unlinked_at`, `interval_since`, `quiet_until` are monotonic
    seconds; `event_connection`: the connection that the last event has."""

    row: MachineRow
    id: int = field(init=False)
    """Of its row; kept beside it because every sample asks."""
    zone: ZoneRow | None = None
    zone_reported_at: str | None = None
    desired_settings: DesiredSettings = UNWRITTEN

    effective_settings: EffectiveSettings = field(default_factory=nothing_written)
    connection: str = "never"
    connection_since: datetime | None = None
    connection_reason: str | None = None
    close_reason: str | None = None
    epoch: int = 0
    """Of the newest link; its hello may not be stored yet."""
    seen_at: datetime | None = None
    linked: bool = False
    last_heard: float = 0.0
    last_gap: float = 0.0
    unlinked_at: float | None = None
    grace: float = 10.0
    busy: bool = False
    """A return session is open, as the machine reports."""
    uploads: bool = False
    """No link: samples come by REST."""
    event_connection: str = "never"
    quiet_until: float = 0.0
    interval: float = 300.0
    live_interval: float = 0.0
    """Of live samples, in seconds; 0: none."""
    interval_since: float = 0.0

    readings: Sample | None = None
    readings_at: datetime | None = None
    readings_of: tuple[str | None, int] = (None, -1)
    recent: deque[tuple[int, Sample]] = field(default_factory=lambda: deque(maxlen=RECENT_SAMPLES))
    trend: Trend = field(default_factory=Trend)
    """Hours where `recent` has minutes."""
    health: str = "ok"
    health_reasons: tuple[HealthReason, ...] = ()
    lasting: tuple[Lasting, ...] = ()
    """Bound: one a reading that has a limit."""

    remote_sessions: dict[int, RemoteSessionRow] = field(default_factory=dict)
    """Open ones. Bound: MOST_OF_A_MACHINE, gone with their end."""
    troubles: dict[str, TroubleRow] = field(default_factory=dict)
    """Recorded ones that stand, by cause. Bound: one a cause."""
    backups: dict[int, BackupRow] = field(default_factory=dict)
    """Those of hub.model.backups. Bound: four, as one is made at a time."""
    backup_full_at: datetime | None = None
    pending: dict[str, CommandRow] = field(default_factory=dict)  # Bound: MAX_PENDING, each to its deadline
    admitted: dict[str, CommandRow] = field(default_factory=dict)
    """On their way into the database. Bound: MAX_PENDING, with those of `pending`."""
    maybe_sent: set[str] = field(default_factory=set)  # Bound: a part of what was pending at the start
    """Recorded as queued, but perhaps sent: the last hub life ended without a flush."""
    boots: dict[str, Boot] = field(default_factory=dict)
    """Stored ones, in order of use. Bound: BOOTS_KEPT."""
    reported: tuple[str, int] | None = None
    """Boot and number of the last stored status report."""

    def __post_init__(self) -> None:
        self.id = self.row.id
        self.close_reason = self.close_reason or self.row.close_reason
        self.epoch = max(self.epoch, self.row.connection_epoch)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def last_seen_at(self) -> datetime | None:
        return self.seen_at or self.row.last_seen_at

    @property
    def asked(self) -> list[CommandRow]:
        """Open commands, also those that the database has not confirmed yet."""
        return list((self.admitted | self.pending).values())

    @property
    def capabilities(self) -> tuple[str, ...]:
        return self.row.capabilities or ()

    @property
    def effective_status(self) -> str:
        """The declared status, or the `special_status` that overrides it while it lasts."""
        return self.row.special_status or self.row.status

    @property
    def site_zone(self) -> str:
        """The zone of the place where it stands. A computer in UTC is one that nobody has set: no machine stands
        there."""
        own = self.row.timezone if self.row.timezone not in UNSET_ZONES else None
        return self.effective_settings.pinned_zone or own or self.effective_settings.default_zone

    @property
    def clock_zone(self) -> str:
        return self.row.timezone or self.effective_settings.default_zone

    @property
    def reported_settings(self) -> ReportedSettings:
        return reported_settings_of(self.row.config_own, self.row.config_errors)

    @property
    def current_zone(self) -> str | None:
        return self.row.timezone or (None if self.zone is None else self.zone.current_timezone)

    @property
    def wanted_zone(self) -> str | None:
        """The zone it should be in: pinned, else what was found and could not be set, else what it is in."""
        found = self.zone.error.get("timezone") if self.zone is not None and self.zone.error else None
        return self.effective_settings.pinned_zone or found or self.current_zone

    @property
    def zone_wrong_since(self) -> datetime | None:
        """Since when its clock does not show the wanted zone; None: it does, or nobody knows."""
        zone = self.zone
        if zone is None or zone.system_timezone is None or zone.system_timezone == self.wanted_zone:
            return None
        return zone.updated_at

    @property
    def certificate_ends_at(self) -> datetime | None:
        """When its own certificate ends, as it reported; None: it has none, or does not report it."""
        return self._reported_end("client_certificate_until")

    @property
    def authority_ends_at(self) -> datetime | None:
        """When the last private authority that it trusts ends, as it reported; None: it pins none, or does not report
        it."""
        return self._reported_end("authority_until")

    def _reported_end(self, member: str) -> datetime | None:
        reported = (self.row.hardware or {}).get("hub_tls")
        until = reported.get(member) if isinstance(reported, dict) else None
        try:
            ends = parse(until) if isinstance(until, str) else None
            ends = None if ends is None or ends.tzinfo is None else ends.astimezone(timezone.utc)
        except (ValueError, OverflowError):
            return None
        return ends if ends is not None and 1970 <= ends.year <= 9998 else None  # not at the calendar's edge

    @property
    def returns_to(self) -> str | None:
        """The effective status after `status_until`, where given."""
        before = self.row.status_before
        return None if before is None else before.get("special_status") or before.get("status")


def has_left(machine: Machine, command: CommandRow) -> bool:
    """Whether the machine may know of the command. Only one that never left the hub can end without asking it."""
    return command.state != "queued" or command.id in machine.maybe_sent


def is_relayed(command: CommandRow) -> bool:
    """Whether the command relays a status that was declared past the agent."""
    return command.name == "set_status" and not actors.asks(command.issued_by)


def normalised_tag(tag: str) -> str:
    """As a tag is stored and compared: one spelling, whoever typed it."""
    return " ".join(unicodedata.normalize("NFC", tag).lower().split())


def tags_of(given: Iterable[str]) -> tuple[str, ...]:
    """The tags as they are stored: each once, in alphabetical order."""
    return tuple(sorted({tag for each in given if (tag := normalised_tag(each))}))


def typed_tags(text: str) -> list[str]:
    """The tags of a form's field, in which commas separate them."""
    return [tag for each in text.split(",") if (tag := normalised_tag(each))]
