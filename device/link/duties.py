"""Serves a live link: samples, results and status up; acknowledgements, commands and settings down.

One sender keeps the order: live sample, answers, results and status, then kept samples at their rate. The reader
never waits for the disk."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from device.journal.keeper import StateKeeper
from device.journal.rules import Entry, ref_of
from device.kernel.tasks import until_one_ends, wait_at_most, within
from device.kernel.worker_thread import WorkerThread
from device.link.connection import HubLink, LinkClosedError
from device.link.rules import End, Kind
from device.samples import rules
from device.samples.rules import Replay
from device.samples.spool import Batch, SampleSpool
from protocol import kinds
from protocol import messages as m

FRAME_SAMPLES: Final = 100
FRAME_BYTES: Final = 48 * 1024
MAX_REPLIES: Final = 200
"""Beyond it the oldest go."""


@dataclass
class LinkHandlers:
    command: Callable[[m.Command | m.Cancel], None]
    watch: Callable[[float], None]
    error: Callable[[m.Error], None]
    config: Callable[[m.Config], None]
    authority: Callable[[m.Authority], None]
    received: Callable[[int | str], None]
    """What is no entry of the outbox."""


class LinkDuties:
    def __init__(
        self, link: HubLink, spool: SampleSpool, disk: WorkerThread, keeper: StateKeeper, handlers: LinkHandlers
    ) -> None:
        self._link = link
        self._spool = spool
        self._disk = disk
        self._keeper = keeper
        self._handlers = handlers
        self._wake = asyncio.Event()
        self._live: m.Sample | None = None
        self._replies: deque[m.Message] = deque(maxlen=MAX_REPLIES)
        # Bound: a part of the outbox.
        self._sent: dict[int | str, Entry] = {}
        # Bound: what the hub acknowledged of the outbox and is not forgotten on disk yet.
        self._received: deque[int | str] = deque()
        self._replay = Replay(spool.acked())
        self._acked = self._replay.acked
        self._backlog_at = 0.0
        self._come_back_at: float | None = None
        self._sending_since: float | None = None
        self._is_leaving = False

    def wake(self) -> None:
        self._wake.set()

    def behind_s(self) -> float:
        """How late the link is: the age of what waits for an acknowledgement or to be sent, or the last ping's time."""
        now = time.monotonic()
        waiting_s = 0.0 if self._sending_since is None else now - self._sending_since
        return max(self._replay.unanswered_s(now), waiting_s, self._link.delay_s)

    def offer_live(self, sample: m.Sample) -> None:
        """Send this live sample next, in place of one that waits."""
        self._live = sample
        self.wake()

    def reply(self, message: m.Message) -> None:
        self._replies.append(message)
        self.wake()

    def leave(self) -> None:
        """End the link, to connect anew at once."""
        self._is_leaving = True
        self.wake()

    async def serve(self) -> End:
        try:
            await until_one_ends(self._receive_all(), self._send_all())
            if self._is_leaving:
                await self._link.close()
                return End(Kind.RENEWED, "with another key", live_s=self._link.live_s)
        except LinkClosedError as closed:
            end = closed.end
        else:
            end = End(Kind.RESTARTING, "the hub restarts", live_s=self._link.live_s)
        if self._come_back_at is None:
            return end
        wait_s = max(0.0, self._come_back_at - time.monotonic())
        return End(Kind.RESTARTING, "the hub restarts", live_s=end.live_s, wait_s=wait_s)

    async def _receive_all(self) -> None:
        """Handle messages until the time comes at which the hub asked to connect again."""
        while True:
            left = float("inf") if self._come_back_at is None else self._come_back_at - time.monotonic()
            try:
                message = await within(max(left, 0.0), self._link.receive())
            except (TimeoutError, asyncio.TimeoutError):
                return
            self._handle(message)
            self._wake.set()

    def _handle(self, message: m.Message) -> None:
        if isinstance(message, m.MetricsAck):
            # A number that was never given out must not make us believe that everything is sent.
            self._acked = max(self._acked, min(message.seq, self._spool.last_seq))
        elif isinstance(message, m.Received):
            if self._keeper.memory.outbox.received(message.ref):
                self._received.append(message.ref)
                self._sent.pop(message.ref, None)
            else:
                self._handlers.received(message.ref)
        elif isinstance(message, (m.Command, m.Cancel)):
            self._handlers.command(message)
        elif isinstance(message, m.Live):
            self._handlers.watch(message.interval)
        elif isinstance(message, m.Restarting):
            self._come_back_at = time.monotonic() + random.uniform(*sorted(message.reconnect_in))  # noqa: S311 - jitter
        elif isinstance(message, m.Error):
            self._handlers.error(message)
        elif isinstance(message, m.Config):
            self._handlers.config(message)
        elif isinstance(message, m.Authority):
            self._handlers.authority(message)

    async def _send_all(self) -> None:
        """Send until `leave` is called."""
        while not self._is_leaving:
            self._wake.clear()
            await self._settle()
            message = self._next_message()
            if message is not None:
                await self._send(message)
            elif not await self._send_backlog():
                await wait_at_most(self._wake, self._wait_s())

    async def _send(self, message: m.Message) -> None:
        self._sending_since = time.monotonic()
        await self._link.send(message)
        self._sending_since = None

    async def _settle(self) -> None:
        if self._acked > self._replay.acked:
            self._replay.was_acked(self._acked, time.monotonic())
            await self._disk.call(self._spool.acknowledge, self._acked)
        while self._received:
            await self._keeper.confirm(self._received.popleft())

    def _next_message(self) -> m.Message | None:
        if self._live is not None:
            sample, self._live = self._live, None
            return m.Metrics(seq=self._spool.last_seq, samples=[sample], live=True)
        if self._replies and not self._is_unsent_result(self._replies[0]):
            return self._replies.popleft()
        for entry in self._keeper.memory.outbox.entries():
            if self._sent.get(ref_of(entry)) is not entry:
                self._sent[ref_of(entry)] = entry
                return entry
        return None

    def _is_unsent_result(self, message: m.Message) -> bool:
        """Whether it answers from memory what waits in the outbox: it must not overtake the result, or the hub would
        confirm it unsent."""
        if not isinstance(message, m.CommandUpdate) or message.state not in kinds.TERMINAL_UPDATES:
            return False
        result = self._keeper.memory.outbox.get(message.id)
        return result is not None and self._sent.get(message.id) is not result

    async def _send_backlog(self) -> bool:
        now = time.monotonic()
        if now < self._backlog_at or not self._replay.may_send(now):
            return False
        batch = await self._disk.call(self._spool.read, self._replay.sent, FRAME_SAMPLES, FRAME_BYTES)
        if batch is None:
            return False
        await self._send(m.Metrics(seq=batch.seq, samples=readable(batch)))
        self._replay.was_sent(batch.seq, time.monotonic())
        pause = rules.pause_after(len(batch.payloads)) if batch.seq < self._spool.last_seq else 0.0
        self._backlog_at = time.monotonic() + pause
        return True

    def _wait_s(self) -> float:
        now = time.monotonic()
        pause = self._backlog_at - now
        return min(pause if pause > 0 else float("inf"), self._replay.resend_in(now))


def readable(batch: Batch) -> list[m.Sample]:
    """The samples of a batch. An unreadable one becomes one without readings, so that the numbers stay right."""
    return [_readable(payload) for payload in batch.payloads]


def _readable(payload: bytes) -> m.Sample:
    try:
        return msgspec.json.decode(payload, type=m.Sample)
    except msgspec.DecodeError:
        return m.Sample(timestamp=0.0, reasons={"cpu_usage": "written by another version"})
