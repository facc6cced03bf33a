"""A machine under load that keeps its promises: samples, statuses and commands, all said again until confirmed.

What the hub told it is kept apart from what it did, so that a test can hold the database against it. It lives through
every end of its link, and now and then it reboots.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import websockets

from device.kernel.tasks import wait_at_most
from protocol import kinds
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.machine_client import MachineClient

BROKEN = (OSError, EOFError, websockets.WebSocketException, TimeoutError, asyncio.TimeoutError)


class Acknowledged(NamedTuple):
    """An acknowledgement: when it came, and how long after the frame it answers."""

    at: float
    after_s: float


class StreamingMachine:
    """`acknowledged` is the highest number the hub has acknowledged in each boot: what must be in the database."""

    def __init__(
        self,
        websocket_url: str,
        key: MachineKey,
        *,
        window: int = 60,
        every_s: float = 0.02,
        samples: int = 1,
        reports: bool = False,
        reboots_every: int = 0,
    ) -> None:
        self.key = key
        self.links = 0
        self.closed_with: list[int | None] = []
        self.boot = "boot-0"
        self.made = self.acked = -1
        self.acknowledged: dict[str, int] = {}
        self.acks: list[Acknowledged] = []
        self.errors: list[m.Error] = []
        self.confirmed: set[str] = set()
        """Reasons of the statuses the hub has confirmed with `received`."""
        self.done: Counter[str] = Counter()
        """How often each command was carried out."""
        self.settled: set[str] = set()
        """Commands whose end the hub has confirmed."""
        self.said_again: list[str] = []
        """Commands the hub sent although it had confirmed their end."""
        self.producing = True
        self._url = websocket_url
        self._window, self._every_s, self._samples = window, every_s, samples
        self._reports, self._reboots_every = reports, reboots_every
        self._report: m.StatusReport | None = None
        self._report_seq = -1
        self._status: kinds.Status = "active"
        self._final: dict[str, m.CommandUpdate] = {}
        self._born = time.time() - 86_400
        self._sent_at: dict[int, float] = {}
        self._wake = asyncio.Event()

    @property
    def drained(self) -> bool:
        """Everything it made is acknowledged, everything it said is confirmed."""
        return self.acked == self.made and self._report is None and set(self._final) <= self.settled

    def promised(self) -> set[tuple[int, str, int]]:
        """(machine, boot, seq) of every sample the hub has acknowledged."""
        return {(self.key.id, boot, seq) for boot, last in self.acknowledged.items() for seq in range(last + 1)}

    def stop_producing(self) -> None:
        self.producing = self._reports = False
        self._wake.set()

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(*BROKEN):
                async with MachineClient.connect(self._url, self.key, open_timeout=60) as client:
                    await client.say_hello(boot_id=self.boot, status=self._status)
                    self.links += 1
                    await self._serve(client)
            await asyncio.sleep(0.1)  # the pause of an impatient agent
            if self.producing and self._reboots_every and self.links % self._reboots_every == 0 and self.made >= 0:
                self._reboot()

    async def _serve(self, client: MachineClient) -> None:
        speaking = asyncio.ensure_future(self._speak(client))
        try:
            for message in client._unheard:
                await self._hear(client, message)
            async for text in client.socket:
                assert isinstance(text, str)
                await self._hear(client, client.session.receive(text).message)
        finally:
            self.closed_with.append(client.socket.close_code)
            speaking.cancel()
            await asyncio.wait([speaking])

    def _reboot(self) -> None:
        """What was not acknowledged is gone, as on a machine without a disk."""
        self.boot = f"boot-{self.links}"
        self.made = self.acked = self._report_seq = -1
        self._report = None
        self._sent_at.clear()

    async def _speak(self, client: MachineClient) -> None:
        with contextlib.suppress(*BROKEN):
            for update in [u for u in self._final.values() if u.id not in self.settled]:
                await client.say(update)
            sent, report_said = self.acked, -1
            while True:
                if self._reports and self._report is None:
                    self._report = self._next_report()
                if self._report is not None and self._report.seq > report_said:
                    report_said = self._report.seq
                    await client.say(self._report)
                if sent == self.made and self.producing and self.made - self.acked < self._window:
                    self.made += self._samples
                if sent < self.made:
                    first, sent = sent + 1, min(self.made, sent + max(self._samples, 20))
                    self._sent_at[sent] = time.monotonic()
                    await client.say(m.Metrics(seq=sent, samples=[self._sample(n) for n in range(first, sent + 1)]))
                    await asyncio.sleep(self._every_s)  # the pace of the load
                else:
                    self._wake.clear()
                    await wait_at_most(self._wake, 0.2)  # `wait_for` may lose the cancellation that ends this

    def _sample(self, seq: int) -> m.Sample:
        """The same number is the same sample, however often it is said."""
        return m.Sample(timestamp=self._born + seq / 1000, cpu_usage=float(seq % 101))

    def _next_report(self) -> m.StatusReport:
        self._report_seq += 1
        self._status = "full" if self._report_seq % 2 else "active"
        reason = f"{self.key.id} {self.boot} {self._report_seq}"
        return m.StatusReport(status=self._status, seq=self._report_seq, reason=reason)

    async def _hear(self, client: MachineClient, message: Any) -> None:
        if isinstance(message, m.MetricsAck):
            self._acknowledge(message.seq)
        elif isinstance(message, m.Received):
            if self._report is not None and message.ref == self._report.seq:
                self.confirmed.add(str(self._report.reason))
                self._report = None
            elif isinstance(message.ref, str):
                self.settled.add(message.ref)
            self._wake.set()
        elif isinstance(message, m.Command):
            await self._obey(client, message)
        elif isinstance(message, m.Error):
            self.errors.append(message)

    def _acknowledge(self, seq: int) -> None:
        now = time.monotonic()
        assert seq <= self.made, "acknowledged what was never sent"
        self.acked = max(self.acked, seq)
        self.acknowledged[self.boot] = self.acked
        if seq in self._sent_at:
            self.acks.append(Acknowledged(now, now - self._sent_at.pop(seq)))
        self._wake.set()

    async def _obey(self, client: MachineClient, command: m.Command) -> None:
        if command.id in self.settled:
            self.said_again.append(command.id)
        final = self._final.get(command.id)
        if final is None:
            self.done[command.id] += 1
            self._status = command.args.get("status", self._status)
            final = self._final[command.id] = m.CommandUpdate(id=command.id, state="succeeded")
            for state in ("accepted", "running"):
                await client.say(m.CommandUpdate(id=command.id, state=state))
        await client.say(final)


@contextlib.asynccontextmanager
async def streaming(*machines: StreamingMachine) -> AsyncIterator[None]:
    """These machines, alive; a machine that failed in itself fails the test."""
    lives = [asyncio.ensure_future(machine.live()) for machine in machines]
    try:
        yield
        assert not any(life.done() for life in lives), [life for life in lives if life.done()]
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
