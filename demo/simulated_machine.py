"""Answers for one simulated machine, without a socket: status, kept samples, settings, commands.

`demo.fleet_simulator` gives it a link and the time. Roles with a fault: full, hot, late, offline, maintenance, busy
(a customer most of the time), guessing (its look-up differs from the pinned zone), unpermitted (may not set its
zone), misconfigured (its environment overrides the hub) and slow (a time zone takes minutes)."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import Any, Final

from demo.simulated_backup import SimulatedBackups
from demo.simulated_board import SimulatedBoard
from demo.simulated_jobs import Abilities, Atomic, Ended, Jobs, Workshop
from demo.simulated_key import SimulatedKey
from demo.simulated_plan import SERVICES, Character, Plan, rfc3339, sample_at
from demo.simulated_status import Declaration
from demo.simulated_zone import Zone
from protocol import commands, limits
from protocol import messages as m
from protocol.version import PRODUCT_VERSION, PROTOCOL_VERSION

CAPABILITIES: Final = [
    "ping",
    "reboot",
    "renew_key",
    "restart_service",
    "set_status",
    "simulated",
    "start_backup",
    "sync_timezone",
    "until",
]
METRICS_INTERVAL_S: Final = 300.0
PAST_S: Final = 4 * 3600.0
"""Samples from before the start: as long as the little line beside a number is."""
OVERRIDDEN: Final = "metrics_interval"


class SimulatedMachine:
    """Through every boot and reconnect. `now`: Unix seconds. `link_url`: the hub's, also for backups."""

    def __init__(
        self, plan: Plan, now: float, link_url: str = "", keep_key: Callable[[str], None] = lambda _: None
    ) -> None:
        self.plan = plan
        self.character = Character.of(plan.device_id)
        self.boot_id = uuid.uuid4().hex
        self.started = now - 86400 * (1 + 30 * self.character.pace)
        self.declaration = Declaration(plan.role, self.character, now)
        self.zone = Zone(plan, self.character, now)
        self.spool = SimulatedSpool()
        self.config_version = 0
        self.metrics_interval = METRICS_INTERVAL_S
        self.live_interval = 0.0
        self.workshop = Workshop(plan.role, self.declaration, self.zone, SimulatedBackups(plan, link_url))
        atomic: dict[str, Atomic] = {"ping": self._ping, "set_status": self._set_status}
        self.key = SimulatedKey(plan.api_key, lambda: self._jobs.present, keep_key)
        self.board = SimulatedBoard(self.character, plan.role)
        self._jobs = Jobs(Abilities(atomic, {**self.workshop.work, "renew_key": self.key.renew}))
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
            status=self.declaration.status,
            special_status=self.declaration.special_status,
            capacity=self.declaration.capacity,
            config_version=self.config_version,
            time=rfc3339(now),
            timezone=self.zone.system,
            hardware={"model": "Jetson Orin NX", "services": list(SERVICES)},
            busy=self.declaration.busy,
            ntp=True,
        )

    def live_sample(self, now: float) -> m.Metrics:
        return m.Metrics(seq=self.spool.newest, samples=[self._reading(now)], live=True)

    def keep(self, now: float) -> None:
        self.spool.keep(self._reading(now))

    def after_welcome(self, now: float) -> list[m.MachineMessage]:
        """The zone, the board, a key that the hub has not confirmed, and again what is unconfirmed."""
        self.board.link_is_up()
        boards = self.board.report(self._reading(now), now, watched=False)
        unconfirmed: list[m.MachineMessage] = [*self.declaration.unconfirmed, *self._jobs.unconfirmed]
        return [self.zone.report, *boards, *self.key.linked(), *unconfirmed]

    def handle(self, message: m.HubMessage, now: float) -> list[m.MachineMessage]:
        if isinstance(message, m.Welcome):
            self.live_interval = message.live_interval
            is_news = message.config.version != self.config_version
            return self._configure(message.config) if is_news or self._set_here else []
        if isinstance(message, m.Config):
            return self._configure(m.Configuration(version=message.version, values=message.values))
        if isinstance(message, m.MetricsAck):
            self.spool.free(message.seq)
        elif isinstance(message, m.Received):
            self._confirm(message.ref)
        elif isinstance(message, m.Live):
            self.live_interval = message.interval
        elif isinstance(message, m.Command):
            return [*self._jobs.take(message, now), *self._reports()]
        elif isinstance(message, m.Cancel):
            return self._jobs.cancel(message.id)
        elif isinstance(message, m.Error):
            self.key.answered(message.ref, message.message)
        return []

    def due(self) -> float:
        """When `act` is needed next, in Unix seconds."""
        return min(self._jobs.due(), self.declaration.due(), self.zone.due(), self.board.due())

    def act(self, now: float) -> list[m.MachineMessage]:
        """Goes on with its job, gives a status back, looks up its zone, looks at its board."""
        boards = self.board.report(self._reading(now), now, watched=self.live_interval > 0)
        return [*self.declaration.act(now), *self.zone.act(now), *self._jobs.act(now), *self._reports(), *boards]

    def _reports(self) -> list[m.MachineMessage]:
        offers, self.key.reports = self.key.reports, []
        return [*self.workshop.take_reports(), *offers]

    @property
    def reboots(self) -> bool:
        """Say bye, and `boot` before the next link."""
        return self.workshop.rebooting

    def boot(self, now: float) -> None:
        """The reboot is done: another boot id, no customer."""
        self.boot_id = uuid.uuid4().hex
        self.started = now
        self.workshop.rebooting = False
        self.spool.renumber()
        self.declaration.close_session()
        self.zone.booted()
        self._jobs.interrupted(self._jobs.present, {"boot_id": self.boot_id})

    def _reading(self, now: float) -> m.Sample:
        return sample_at(self.character, self.plan.role, now, rfc3339(now), self.started)

    def _confirm(self, ref: int | str) -> None:
        """A number is a report's, a text a command's."""
        if isinstance(ref, int):
            self.declaration.confirm(ref)
        else:
            self.key.answered(ref)
            self._jobs.confirm(ref)

    def _configure(self, configuration: m.Configuration) -> list[m.MachineMessage]:
        values = configuration.values
        errors = {}
        if self.plan.role != "misconfigured":
            interval = values.get("metrics_interval", METRICS_INTERVAL_S)
            if isinstance(interval, (int, float)) and interval >= 1:
                self.metrics_interval = float(interval)
        elif OVERRIDDEN in values:
            errors[OVERRIDDEN] = f"environment: {OVERRIDDEN} is set by the machine's environment (METRICS_INTERVAL)."
        self.zone.configure(values)
        self.config_version = configuration.version
        return [m.ConfigApplied(version=configuration.version, errors=errors or None, own=self._set_here or None)]

    @property
    def _set_here(self) -> dict[str, Any]:
        overridden = {OVERRIDDEN: self.metrics_interval} if self.plan.role == "misconfigured" else {}
        return overridden | self.zone.set_here

    def _ping(self, _: commands.Ping, now: float) -> Ended:
        return {"time": rfc3339(now)}

    def _set_status(self, wanted: commands.SetStatus, _: float) -> Ended:
        return self.declaration.set_status(wanted)


SPOOL_SAMPLES: Final = 5_000


class SimulatedSpool:
    """`newest`: number of the newest sample; `acked`: of the last acknowledged."""

    def __init__(self) -> None:
        self.newest = 0
        self.acked = 0
        self._samples: list[m.Sample] = []

    def keep(self, sample: m.Sample) -> None:
        """When full the oldest goes."""
        self._samples.append(sample)
        self.newest += 1
        del self._samples[:-SPOOL_SAMPLES]

    def unsent(self, after: int) -> m.Metrics | None:
        """Above `after`; None: nothing."""
        oldest = self.newest - len(self._samples) + 1
        start = max(after + 1, oldest)
        batch = self._samples[start - oldest :][: limits.MAX_SAMPLES_PER_FRAME // 5]
        return m.Metrics(seq=start + len(batch) - 1, samples=batch) if batch else None

    def free(self, seq: int) -> None:
        self.acked = max(self.acked, min(seq, self.newest))
        del self._samples[: max(0, len(self._samples) - (self.newest - self.acked))]

    def renumber(self) -> None:
        """Booted: what was not acknowledged takes the first numbers."""
        self.newest, self.acked = len(self._samples), 0
