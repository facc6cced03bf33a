"""The load forms about being there: thousands of idle links, and the storm when all of them come back at once."""

from __future__ import annotations

import asyncio
import random
import time

from bench import meter
from bench.crowd import Crowd, RefusedError, Target
from bench.load_spec import Found, Spec

RETRY_S = 0.5
"""A machine told to come back at once still waits a random time up to this after each refusal."""


async def idle(spec: Spec) -> Found:
    """Open every link, then do nothing: what one costs the server in memory, and all of them in CPU."""
    sample = max(1, min(100, len(spec.target.devices) // 10))
    warm = Crowd(_first(spec, sample))
    await warm.open()  # whatever the server makes once is not charged to the links
    warm.close()
    await asyncio.sleep(0.5)
    before, cpu = meter.rss_bytes(spec.watch[:1]), meter.cpu_seconds(spec.watch)
    crowd = Crowd(spec.target)
    connect_s = await crowd.open(seconds=300)
    links = len(crowd.links)
    handshakes = meter.cpu_seconds(spec.watch) - cpu
    await asyncio.sleep(spec.warm_up_s)
    cpu, began = meter.cpu_seconds(spec.watch), time.perf_counter()
    await asyncio.sleep(spec.seconds)
    took = time.perf_counter() - began
    found = Found(
        count=links, rate=links / connect_s, connect_s=connect_s, seconds=took, cpu_us_each=1e6 * handshakes / links,
        kib_each=(meter.rss_bytes(spec.watch[:1]) - before) / 1024 / links,
        cpu_share=(meter.cpu_seconds(spec.watch) - cpu) / took,
        failure=next((link.refused for link in crowd.links if link.refused), ""),
    )  # fmt: skip
    crowd.close()
    return found


def _first(spec: Spec, count: int) -> Target:
    target = spec.target
    return Target(
        host=target.host, port=target.port, devices=target.devices[:count], keys=target.keys[:count], path=target.path,
        boot=target.boot,
    )  # fmt: skip


class Storm:
    """Every machine keeps coming back until it is live again; the moments it happened."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.crowd = Crowd(spec.target)
        self.attempts = 0
        self.back: list[float] = []
        self.lost = 0
        self._all_lost = asyncio.Event()
        self._opened = 0.0

    async def gather(self) -> float:
        """Everybody live for the first time."""
        return await self.crowd.open(seconds=300)

    async def weather(self) -> Found:
        """Wait until every link is lost, then until every machine is live again."""
        count = len(self.crowd.links)
        for link in self.crowd.links:
            if link.transport.is_closing():
                self._one_lost()
            else:
                link.on_lost = lambda _: self._one_lost()
        await asyncio.wait_for(self._all_lost.wait(), 60)
        self.crowd.links.clear()
        own = time.process_time()
        await asyncio.gather(self._port(), *(self._return(k) for k in range(count)))
        times = [moment - self._opened for moment in self.back]
        return Found(
            count=len(times), seconds=max(times), attempts=self.attempts, p50_ms=1e3 * meter.percentile(times, 50),
            p99_ms=1e3 * meter.percentile(times, 99), max_ms=1e3 * max(times),
            load_share=(time.process_time() - own) / max(times),
        )  # fmt: skip

    def _one_lost(self) -> None:
        self.lost += 1
        if self.lost >= len(self.crowd.links):
            self._all_lost.set()

    async def _return(self, number: int) -> None:
        jitter = self.spec.jitter_s or RETRY_S
        while True:
            await asyncio.sleep(random.uniform(0, jitter))
            self.attempts += 1
            try:
                self.crowd.links.append(await self.crowd.connect(number))
            except (OSError, RefusedError):
                continue
            self.back.append(time.perf_counter())
            return

    async def _port(self) -> None:
        """The moment the port opens again."""
        target = self.spec.target
        while not self._opened:
            try:
                _, writer = await asyncio.open_connection(target.host, target.port)
            except OSError:
                await asyncio.sleep(0.005)
                continue
            self._opened = time.perf_counter()
            writer.close()
