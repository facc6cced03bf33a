"""The load form of one command after the other: an HTTP request, the machine's answer, the confirmation."""

from __future__ import annotations

import asyncio
import re
import time

from bench import meter
from bench.crowd import Crowd
from bench.link import Link
from bench.load_spec import Found, Spec

_ID = re.compile(rb'"id":"([^"]+)"')
_COMMAND = b'{"type":"command"'
WARM_UP = 20


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
    door = await Door.open(spec)
    for k in range(WARM_UP):  # the first ones pay for what is made once
        await door.order(k)
    cpu, began, waits = meter.cpu_seconds(spec.watch), time.perf_counter(), []
    for k in range(WARM_UP, WARM_UP + spec.orders):
        asked = time.perf_counter()
        await door.order(k)
        waits.append(time.perf_counter() - asked)
    took, used = time.perf_counter() - began, meter.cpu_seconds(spec.watch) - cpu
    door.close()
    crowd.close()
    return Found(
        count=spec.orders, rate=spec.orders / took, seconds=took, connect_s=connect_s, cpu_share=used / took,
        cpu_us_each=1e6 * used / spec.orders, p50_ms=1e3 * meter.percentile(waits, 50),
        p99_ms=1e3 * meter.percentile(waits, 99), max_ms=1e3 * max(waits), failure=door.failure,
    )  # fmt: skip


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
