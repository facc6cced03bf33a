"""The load form of one command after the other: an HTTP request, the machine's answer, the confirmation."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from bench import frames, meter
from bench.crowd import Crowd
from bench.link import Link
from bench.load_spec import Found, Spec

_ID = re.compile(rb'"id":"([^"]+)"')
_COMMAND = b'{"type":"command"'
WARM_UP = 20
DAY_S = 86_400
"""The samples of the others are of yesterday: a second each, far behind the server's clock."""
TURN_S = 0.002
"""What is due is sent this often."""


async def commands(spec: Spec) -> Found:
    """Idle machines obey at once; requests leave one by one. The time from request to confirmed answer."""
    crowd = Crowd(spec.target)

    def obey(link: Link, payload: bytes) -> None:
        if payload.startswith(_COMMAND):
            found = _ID.search(payload)
            if found is not None:
                link.say(b'{"type":"command_update","id":"%b","state":"succeeded","result":{}}' % found[1])

    def dress(link: Link, _: int) -> None:
        link.on_text = obey

    connect_s = await crowd.open(dress, seconds=300)
    others = Crowd(spec.others or msgspec.structs.replace(spec.target, devices=[], keys=[]))
    await others.open(seconds=300)
    with company(others, spec.others_every_s):
        await asyncio.sleep(spec.warm_up_s)
        door = await Door.open(spec)
        found = await measure(spec, door.order)
    door.close()
    refused = next((link.refused for link in (*crowd.links, *others.links) if link.refused), "")
    others.close()
    crowd.close()
    found.connect_s, found.failure = connect_s, door.failure or refused
    return found


async def measure(spec: Spec, order: Callable[[int], Awaitable[None]]) -> Found:
    """Orders one after the other, each with its time."""
    for k in range(WARM_UP):  # the first ones pay for what is made once
        await order(k)
    cpu, own, began, waits = meter.cpu_seconds(spec.watch), time.process_time(), time.perf_counter(), []
    for k in range(WARM_UP, WARM_UP + spec.orders):
        asked = time.perf_counter()
        await order(k)
        waits.append(time.perf_counter() - asked)
    took, used = time.perf_counter() - began, meter.cpu_seconds(spec.watch) - cpu
    return Found(
        count=spec.orders, rate=spec.orders / took, seconds=took, cpu_share=used / took,
        cpu_us_each=1e6 * used / spec.orders, load_share=(time.process_time() - own) / took,
        p50_ms=1e3 * meter.percentile(waits, 50), p99_ms=1e3 * meter.percentile(waits, 99), max_ms=1e3 * max(waits),
    )  # fmt: skip


@contextlib.contextmanager
def company(others: Crowd, every_s: float) -> Iterator[None]:
    """Meanwhile each of these sends one sample every so many seconds, evenly spread."""
    links = others.links
    sources = [frames.MetricsFrames(k, 1, int(time.time()) - DAY_S) for k in range(len(links))]
    sending = asyncio.ensure_future(evenly(len(links), every_s, lambda k: links[k].transport.write(sources[k].next())))
    try:
        yield
    finally:
        sending.cancel()


async def evenly(count: int, every_s: float, send: Callable[[int], None]) -> None:
    """Call `send` for each of `count` once in `every_s`, until cancelled."""
    began, sent = time.perf_counter(), 0
    while count:
        due = int((time.perf_counter() - began) * count / every_s)
        for k in range(sent, due):
            send(k % count)
        sent = due
        await asyncio.sleep(TURN_S)


class Door:
    """One kept-alive HTTP connection that sends orders."""

    def __init__(self, spec: Spec, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.spec, self._reader, self._writer = spec, reader, writer
        self.failure = ""

    @classmethod
    async def open(cls, spec: Spec) -> Door:
        return cls(spec, *await asyncio.open_connection(spec.target.host, spec.target.port))

    async def order(self, number: int) -> None:
        """Send the `number`-th order and wait for its answer; what is not confirmed is a failure."""
        spec = self.spec
        turn = number // len(spec.ids)  # each machine gets another body than the last time
        body = spec.order_bodies[turn % len(spec.order_bodies)] if spec.order_bodies else ""
        headers = {"Host": f"{spec.target.host}:{spec.target.port}", "Content-Length": str(len(body))}
        headers.update(spec.order_headers)
        head = spec.order_head.replace("{id}", str(spec.ids[number % len(spec.ids)]))
        lines = [head, *(f"{name}: {value}" for name, value in headers.items()), "", body]
        self._writer.write("\r\n".join(lines).encode())
        answer = await asyncio.wait_for(self._answer(), 40)
        if b'"succeeded"' not in answer and not self.failure:
            self.failure = answer[:300].decode(errors="replace")

    async def _answer(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return head + await self._reader.readexactly(int(size[1]) if size else 0)

    def close(self) -> None:
        self._writer.close()
