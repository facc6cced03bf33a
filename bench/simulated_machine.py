"""What one simulated machine is and answers, without a socket: its declaration, its spool, its journal of commands.

`bench.fleet_simulator` gives it a link and the time.
"""

from __future__ import annotations

import math
import uuid
from datetime import datetime, timezone
from typing import Any, Final

import msgspec

from bench.simulated_readings import Character, sample_at
from protocol import commands, limits
from protocol import messages as m
from protocol.version import PRODUCT_VERSION, PROTOCOL_VERSION

CAPABILITIES: Final = ["ping", "set_status", "simulated"]
METRICS_INTERVAL_S: Final = 300.0
PAST_S: Final = 3600.0
"""A machine that starts brings the samples of its last hour, so that a page has something to draw."""
SPOOL_SAMPLES: Final = 5_000
ZONES: Final = ("Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of the configuration file."""

    device_id: str
    api_key: str
    role: str = "normal"
    name: str = ""
    timezone: str = ""
    """IANA name; empty: one of Indonesia's three."""


class SimulatedMachine:
    """The life of one machine from boot to exit, through every reconnect. `now` is Unix seconds everywhere."""

    def __init__(self, plan: Plan, now: float) -> None:
        self.plan = plan
        self.character = Character.of(plan.device_id)
        self.boot_id = uuid.uuid4().hex
        self.started = now
        self.status: m.Status = "active"
        if plan.role in ("full", "maintenance"):
            self.status = "full" if plan.role == "full" else "maintenance"
        self.special_status: m.SpecialStatus | None = None
        self.capacity = 100 if plan.role == "full" else int(80 * self.character.memory)
        self.config_version = 0
        self.metrics_interval = METRICS_INTERVAL_S
        self.live_interval = 0.0
        self.acked = 0
        self._spool: list[m.Sample] = []
        self._spooled = 0  # the number of the newest sample in the spool
        self._reports: dict[int, m.StatusReport] = {}
        self._report_seq = 0
        self._journal: dict[str, m.CommandUpdate] = {}
        self._unconfirmed: set[str] = set()
        first = math.ceil((now - PAST_S) / METRICS_INTERVAL_S) * METRICS_INTERVAL_S
        for k in range(int((now - first) // METRICS_INTERVAL_S) + 1):
            self.keep(first + k * METRICS_INTERVAL_S)

    def hello(self, now: float) -> m.Hello:
        return m.Hello(
            protocol=PROTOCOL_VERSION,
            device_id=self.plan.device_id,
            agent_version=PRODUCT_VERSION,
            boot_id=self.boot_id,
            capabilities=CAPABILITIES,
            status=self.status,
            special_status=self.special_status,
            capacity=self.capacity,
            config_version=self.config_version,
            time=rfc3339(now),
            timezone=self.plan.timezone or ZONES[int(self.character.phase * 2.99)],
            hardware={"model": "simulated machine"},
        )

    def reading(self, now: float) -> m.Sample:
        return sample_at(self.character, self.plan.role, now, rfc3339(now), self.started)

    def live_sample(self, now: float) -> m.Metrics:
        return m.Metrics(seq=self._spooled, samples=[self.reading(now)], live=True)

    def keep(self, now: float) -> None:
        """One sample for history into the spool; a full spool drops its oldest."""
        self._spool.append(self.reading(now))
        self._spooled += 1
        del self._spool[:-SPOOL_SAMPLES]

    def unsent(self, after: int) -> m.Metrics | None:
        """The next frame of kept samples numbered above `after`; None when there is none."""
        oldest = self._spooled - len(self._spool) + 1
        start = max(after + 1, oldest)
        batch = self._spool[start - oldest :][: limits.MAX_SAMPLES_PER_FRAME // 5]
        return m.Metrics(seq=start + len(batch) - 1, samples=batch) if batch else None

    def declare(self) -> m.StatusReport:
        """Say what the machine is by itself; said again after a reconnect until it is received."""
        self._report_seq += 1
        report = m.StatusReport(
            status=self.status, seq=self._report_seq, capacity=self.capacity, special_status=self.special_status
        )
        self._reports = {report.seq: report}  # the newest replaces what was never received
        return report

    def fill(self) -> m.StatusReport | None:
        """Bottles came in. Only a machine in service fills, and it is emptied before it is full."""
        if self.status != "active" or self.special_status is not None:
            return None
        self.capacity = self.capacity + 2 if self.capacity < 90 else 3
        return self.declare()

    def to_repeat(self) -> list[m.MachineMessage]:
        """What a new link has to say again: nobody has confirmed it."""
        return [*self._reports.values(), *(self._journal[each] for each in sorted(self._unconfirmed))]

    def hear(self, message: m.HubMessage, now: float) -> list[m.MachineMessage]:
        """What the hub said changes the machine; the answers to send."""
        if isinstance(message, m.Welcome):
            self._configure(message.config)
            self.live_interval = message.live_interval
        elif isinstance(message, m.MetricsAck):
            self._free(message.seq)
        elif isinstance(message, m.Received):
            self._reports.pop(message.ref, None) if isinstance(message.ref, int) else self._confirm(message.ref)
        elif isinstance(message, m.Live):
            self.live_interval = message.interval
        elif isinstance(message, m.Config):
            self._configure(m.Configuration(version=message.version, values=message.values))
            return [m.ConfigApplied(version=message.version)]
        elif isinstance(message, m.Command):
            return self._obey(message, now)
        return []

    def _free(self, seq: int) -> None:
        self.acked = max(self.acked, min(seq, self._spooled))
        del self._spool[: max(0, len(self._spool) - (self._spooled - self.acked))]

    def _confirm(self, command_id: str) -> None:
        self._unconfirmed.discard(command_id)

    def _configure(self, configuration: m.Configuration) -> None:
        self.config_version = configuration.version
        interval = configuration.values.get("metrics_interval", self.metrics_interval)
        if isinstance(interval, (int, float)) and interval >= 1:
            self.metrics_interval = float(interval)

    def _obey(self, command: m.Command, now: float) -> list[m.MachineMessage]:
        known = self._journal.get(command.id)
        if known is not None:
            return [known]
        final = self._carry_out(command, now)
        self._journal[command.id] = final
        self._unconfirmed.add(command.id)
        return [final] if final.state == "rejected" else [m.CommandUpdate(id=command.id, state="accepted"), final]

    def _carry_out(self, command: m.Command, now: float) -> m.CommandUpdate:
        if moment(command.expires_at) <= now:
            return _rejected(command, "expired", "the command came too late")
        if command.name == "ping":
            return m.CommandUpdate(id=command.id, state="succeeded", result={"time": rfc3339(now)})
        if command.name != "set_status":
            return _rejected(command, "unsupported", f"a simulated machine does not know {command.name}")
        try:
            wanted = msgspec.convert(command.args, commands.SetStatus)
        except msgspec.ValidationError:
            return _rejected(command, "invalid", "the arguments of set_status are wrong")
        self.status, self.special_status = wanted.status, wanted.special_status
        self.capacity = self.capacity if wanted.capacity is None else wanted.capacity
        result: dict[str, Any] = {
            "status": self.status, "special_status": self.special_status, "capacity": self.capacity,
        }  # fmt: skip
        return m.CommandUpdate(id=command.id, state="succeeded", result=result)


def _rejected(command: m.Command, code: str, why: str) -> m.CommandUpdate:
    return m.CommandUpdate(id=command.id, state="rejected", error=m.Failure(code=code, message=why))


def rfc3339(unix_s: float) -> str:
    text = datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment(text: str) -> float:
    """Unix seconds of an RFC 3339 text; the far future when it cannot be read (nothing expires by a slip)."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return math.inf
