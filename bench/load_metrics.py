"""The load forms that send metrics: a closed loop with a window, an open loop at a rate, live samples for browsers."""

from __future__ import annotations

import array
import asyncio
import time

from bench import frames, meter
from bench.crowd import Crowd
from bench.link import Link
from bench.load_spec import Found, Spec
from hub.web.sockets import MAX_SOCKETS_PER_USER

PAST_S = 86_400
"""The clock of the load starts a day back and runs faster than ours: it must never be ahead of the server's."""
TURN_S = 0.001
"""An open loop sends what is due this often."""


class Tally:
    """Acknowledgements counted between two moments, with the time each frame waited."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.waits = array.array("d")
        self.samples = 0
        self.counting = False
        self.done = False

    def acked(self, link: Link, seq: int) -> int:
        """Count what `seq` acknowledges; how many frames that frees."""
        now, freed = time.perf_counter(), 0
        unacked = link.unacked
        while unacked and unacked[0][0] <= seq:
            _, sent = unacked.popleft()
            freed += 1
            if self.counting:
                self.waits.append(now - sent)
        if self.counting:
            self.samples += freed * self.spec.samples
        return freed

    async def measure(self) -> Found:
        """Let it run in, then count for the asked time."""
        await asyncio.sleep(self.spec.warm_up_s)
        cpu, own, began = meter.cpu_seconds(self.spec.watch), time.process_time(), time.perf_counter()
        self.counting = True
        await asyncio.sleep(self.spec.seconds)
        self.counting = False
        took = time.perf_counter() - began
        used = meter.cpu_seconds(self.spec.watch) - cpu
        waits = self.waits
        return Found(
            count=self.samples, rate=self.samples / took, seconds=took, p50_ms=1e3 * meter.percentile(waits, 50),
            p99_ms=1e3 * meter.percentile(waits, 99), max_ms=1e3 * max(waits, default=0.0), cpu_share=used / took,
            cpu_us_each=1e6 * used / max(1, self.samples), load_share=(time.process_time() - own) / took,
        )  # fmt: skip


async def window(spec: Spec) -> Found:
    """Each machine keeps `window` frames unacknowledged: the throughput the server sustains."""
    crowd, tally = Crowd(spec.target), Tally(spec)
    sources: dict[Link, frames.MetricsFrames] = {}

    def send(link: Link, count: int) -> None:
        source, now, out = sources[link], time.perf_counter(), []
        for _ in range(count):
            out.append(source.next())
            link.unacked.append((source.seq, now))
        link.transport.write(b"".join(out))

    def on_ack(link: Link, seq: int) -> None:
        freed = tally.acked(link, seq)
        if freed and not tally.done:
            send(link, freed)

    def dress(link: Link, number: int) -> None:
        link.on_ack = on_ack
        sources[link] = frames.MetricsFrames(number, spec.samples, int(time.time()) - PAST_S)

    connect_s = await crowd.open(dress)
    for link in crowd.links:
        send(link, spec.window)
    found = await tally.measure()
    tally.done = True
    return _end(crowd, found, connect_s)


async def open_loop(spec: Spec) -> Found:
    """Frames leave at a fixed rate, whatever is acknowledged: the latency at that rate."""
    crowd, tally = Crowd(spec.target), Tally(spec)
    sources: list[frames.MetricsFrames] = []

    def dress(link: Link, _: int) -> None:
        link.on_ack = lambda each, seq: (tally.acked(each, seq), None)[1]

    connect_s = await crowd.open(dress)
    sources = [
        frames.MetricsFrames(k, spec.samples, int(time.time()) - PAST_S) for k in range(len(crowd.links))
    ]  # fmt: skip
    measuring = asyncio.ensure_future(tally.measure())
    began, sent, every = time.perf_counter(), 0, spec.samples / spec.rate
    while not measuring.done():
        now = time.perf_counter()
        while sent * every <= now - began:
            link, source = crowd.links[sent % len(crowd.links)], sources[sent % len(crowd.links)]
            frame = source.next()
            link.unacked.append((source.seq, time.perf_counter()))
            link.transport.write(frame)
            sent += 1
        await asyncio.sleep(TURN_S)
    found = await measuring
    found.attempts = sent
    return _end(crowd, found, connect_s)


async def live(spec: Spec) -> Found:
    """Every machine sends live samples at `rate`, and browsers read the feed; the frames a browser received."""
    crowd = Crowd(spec.target)
    connect_s = await crowd.open()
    browsers = [await _browser(spec, number) for number in range(spec.browsers)]
    sources = [frames.MetricsFrames(k, 1, int(time.time()) - 600, live=True) for k in range(len(crowd.links))]
    tally = Tally(spec)
    measuring = asyncio.ensure_future(tally.measure())
    began, sent, every = time.perf_counter(), 0, 1 / (spec.rate * len(crowd.links))
    while not measuring.done():
        for browser in browsers:
            browser.counting = tally.counting
        while sent * every <= time.perf_counter() - began:
            crowd.links[sent % len(crowd.links)].transport.write(sources[sent % len(crowd.links)].next())
            sent += 1
        await asyncio.sleep(0.005)
    found = await measuring
    found.count = sum(browser.frames for browser in browsers)
    found.rate = found.count / found.seconds
    found.bytes_each = sum(browser.size for browser in browsers) / max(1, found.count)
    found.failure = next((browser.refused for browser in browsers if browser.refused), "")
    for browser in browsers:
        browser.transport.abort()
    return _end(crowd, found, connect_s)


class Browser(Link):
    """Reads the feed and counts it."""

    def __init__(self, spec: Spec, number: int) -> None:
        super().__init__(f"{spec.target.host}:{spec.target.port}", spec.browser_path, "", "", "")
        tokens = spec.browser_tokens[number // MAX_SOCKETS_PER_USER :][:1]
        extra = "".join(f"Authorization: Bearer {token}\r\n" for token in tokens).encode()
        plain = self._upgrade.split(b"Sec-WebSocket-Protocol")[0]
        self._upgrade = plain + extra + b"\r\n"
        self.counting = False
        self.frames = 0
        self.size = 0
        self.on_text = self._count

    def _count(self, _: Link, payload: bytes) -> None:
        if self.counting:
            self.frames += 1
            self.size += len(payload)


async def _browser(spec: Spec, number: int) -> Browser:
    browser = Browser(spec, number)
    opened = asyncio.Event()
    browser.on_live = lambda _: opened.set()
    browser.on_lost = lambda _: opened.set()
    await asyncio.get_running_loop().create_connection(lambda: browser, spec.target.host, spec.target.port)
    await asyncio.wait_for(opened.wait(), 10)
    if spec.browser_hello:
        browser.say(spec.browser_hello.encode())
    return browser


def _end(crowd: Crowd, found: Found, connect_s: float) -> Found:
    found.connect_s = connect_s
    found.failure = found.failure or next((link.refused for link in crowd.links if link.refused), "")
    crowd.close()
    return found
