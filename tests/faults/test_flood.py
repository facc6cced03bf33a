"""A machine's key that floods, by frames, requests and links: slowed to its budget, and no neighbour waits for it.

What a neighbour notices is measured in turns within one run, quiet and loud, so that whatever else the computer does
is in both.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from db.engine.sqlite_files import path_of
from hub.model.budgets import BOOTS_AT_ONCE, LINES_AT_ONCE, LINKS_AT_ONCE, LINKS_PER_MINUTE, MIB, REFUSALS_AT_ONCE
from hub.model.machine import BOOTS_KEPT
from hub.web.api.operation import Operation
from protocol import codec
from protocol import messages as m
from protocol.limits import MAX_SAMPLES_PER_FRAME, SAMPLES_AT_ONCE, SAMPLES_PER_S
from tests.hub.web.api.test_floods import WRITTEN_BY_MACHINES, address_of, body_of
from tests.support.flooding_caller import flooding_caller
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_people import MachineKey
from tests.support.machine_client import MachineClient
from tests.support.streaming_machine import BROKEN, StreamingMachine, streaming
from tests.support.until import until

TURNS = 7
TURN_S = 1.0
"""Quiet, loud, quiet, loud."""
NEIGHBOURS = 6
EVERY_S = 0.06
"""Below their own budget; 100 acknowledgements a second together."""
SLOWER_AT_MOST = 1.1
ENOUGH_ACKS = 30
NOISE_S = 0.002
"""A scheduler's turn; more only where quiet turns differ among themselves by more."""
NOT_ALONE_S = 0.015
"""Quiet turns this slow tell that others have the computer (a test marked `alone` run beside others): then a ratio says
nothing, and the other figures stand."""
COST_AT_MOST = 0.15
"""Of a processor, for a flood that goes on."""
LONGEST_BLOCK_S = 0.1
SUSTAINED_PER_S, BURST = 20.0, 100
LOG_BYTES = 16 * 1024
"""A machine's lines at once, each with a text of its own."""
W = "w" * 450

Flood = Callable[[], Coroutine[Any, Any, None]]


class Neighbours:
    """Polite machines and what they notice."""

    def __init__(self, hub: ForkedHub, keys: list[MachineKey]) -> None:
        self.machines = [StreamingMachine(hub.websocket_url, key, every_s=EVERY_S) for key in keys]
        self._p99: dict[bool, list[float]] = {False: [], True: []}
        self._cpu: dict[bool, list[float]] = {False: [], True: []}
        self._commits: list[float] = []
        self._hub = hub

    async def turns(self, flood: Flood) -> None:
        """A turn without the flood and one with it, again and again; the flood goes on where it stopped."""
        await until(lambda: min(len(machine.acks) for machine in self.machines) > 10, 30)
        for loud in itertools.islice(itertools.cycle((False, True)), 2 * TURNS):
            sending = asyncio.ensure_future(flood()) if loud else None
            for machine in self.machines:
                machine.acks.clear()
            began = self._hub.cpu_s()
            await asyncio.sleep(TURN_S)  # the time that is measured
            self._cpu[loud].append(self._hub.cpu_s() - began)
            times = sorted(ack.after_s for machine in self.machines for ack in machine.acks)
            assert len(times) >= ENOUGH_ACKS
            self._p99[loud].append(times[int(0.99 * len(times))])
            self._commits += [] if loud else [statistics.median(times)]
            if sending is not None:
                assert not sending.done(), sending
                sending.cancel()
                await asyncio.wait([sending])
        assert {(machine.links, len(machine.errors)) for machine in self.machines} == {(1, 0)}

    def notice_nothing(self) -> None:
        """By the median of the turns: what else takes the computer for a moment spoils a turn, not the run. And by the
        hub's own processor time, which nobody else can spoil. A commit of the flood's, within its budget, may stand in
        front of one's own: there is one writer."""
        quiet, loud = sorted(self._p99[False]), sorted(self._p99[True])
        before, during = statistics.median(quiet), statistics.median(loud)
        floor = max(NOISE_S, quiet[-2] - quiet[1]) + statistics.median(self._commits)
        cost = statistics.median(self._cpu[True]) - statistics.median(self._cpu[False])
        print(f"the neighbours' p99 {before * 1000:.1f} -> {during * 1000:.1f} ms, floor {floor * 1000:.1f} ms")
        print(f"the flood costs {100 * cost / TURN_S:.0f} % of a processor")
        assert cost <= COST_AT_MOST * TURN_S
        assert during <= SLOWER_AT_MOST * before + floor or before > NOT_ALONE_S


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[ForkedHub, MachineKey, Neighbours]]:
    async with forked_hub(folder) as hub:
        flooding = await hub.add_machine("Flooding")
        neighbours = Neighbours(hub, [await hub.add_machine(f"Polite {n}") for n in range(NEIGHBOURS)])
        async with streaming(*neighbours.machines):
            yield hub, flooding, neighbours
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert "Traceback" not in hub.log


def rows(hub: ForkedHub, table: str, key: MachineKey) -> int:
    with contextlib.closing(sqlite3.connect(path_of(hub.settings.database_url))) as database:
        return int(database.execute(f"SELECT count(*) FROM {table} WHERE rvm_id = ?", (key.id,)).fetchone()[0])


def by_link(machine: MachineClient, frames: Iterator[str]) -> Flood:
    """As fast as TCP takes them."""

    async def flood() -> None:
        for text in frames:
            await machine.socket.send(text)
            await asyncio.sleep(0)

    return flood


def full_frames() -> Iterator[str]:
    at = int(time.time()) - 10**6
    for last in itertools.count(MAX_SAMPLES_PER_FRAME - 1, MAX_SAMPLES_PER_FRAME):
        samples = [m.Sample(timestamp=float(at + n), cpu_usage=1.0) for n in range(MAX_SAMPLES_PER_FRAME)]
        yield codec.encode(m.Metrics(seq=last, samples=samples))


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_frames_full_of_samples_are_slowed_to_the_machines_budget(tmp_path: Path) -> None:
    async with stage(tmp_path) as (hub, key, neighbours):
        async with MachineClient.connect(hub.websocket_url, key, ping_interval=None) as machine:
            await machine.say_hello()
            began = time.monotonic()
            await neighbours.turns(by_link(machine, full_frames()))
            taken, took = rows(hub, "system_metrics", key), time.monotonic() - began
            assert machine.socket.close_code is None, "it was ended for being slow to be heard"
            machine.socket.transport.abort()
        print(f"{taken} samples in {took:.1f} s")
        assert SAMPLES_PER_S * took / 2 <= taken
        assert taken <= SAMPLES_AT_ONCE + SAMPLES_PER_S * took + 2 * MAX_SAMPLES_PER_FRAME
        neighbours.notice_nothing()


def every_kind_of_frame() -> Iterator[str]:
    """Each different from the one before, as large as it may be, so that nothing of it is known already."""
    at = "2026-11-23T13:00:00Z"
    for n in itertools.count(1):
        kinds: tuple[m.MachineMessage, ...] = (
            m.Metrics(seq=n, live=True, samples=[m.Sample(timestamp=at, reasons={f"{k}": W for k in range(100)})]),
            m.StatusReport(seq=n, status="error" if n % 2 else "active", reason=f"{n}{W}"),
            m.Event(seq=n, code="flood", params={"text": f"{n}{W}"}, timestamp=at),
            m.CommandUpdate(id=f"{n}", state="succeeded", result={"text": 60 * W}),
            m.ConfigApplied(version=0, errors={f"{k}": f"{n}{W}" for k in range(100)}),
            m.TimezoneReport(timezone="Asia/Jakarta" if n % 2 else "Asia/Makassar", timestamp=at, sync_method="manual"),
            m.RemoteAccessReport(session_id=n, state="ended", at=at, reason="idle"),
            m.Error(code=f"{n}", message="\x1b\u202e" * 500),
        )
        yield from map(codec.encode, kinds)
        yield '{"type":"' + "\\u001b" * 1000 + f'{n}"}}'
        yield "{" + W


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_frames_of_every_other_kind_are_slowed_and_fill_neither_record_nor_log(tmp_path: Path) -> None:
    frames = every_kind_of_frame()
    async with stage(tmp_path) as (hub, key, neighbours):

        async def flood() -> None:
            """On one link until it is ended for a frame that is none, and then on the next."""
            while True:
                with contextlib.suppress(*BROKEN):
                    async with MachineClient.connect(hub.websocket_url, key, ping_interval=None) as machine:
                        await machine.say_hello()
                        await by_link(machine, frames)()
                await asyncio.sleep(0.01)

        logged, began = len(hub.log), time.monotonic()
        await neighbours.turns(flood)
        lines = LINES_AT_ONCE + time.monotonic() - began + 2
        print(f"{rows(hub, 'events', key)} lines of the audit log, {len(hub.log) - logged} bytes of the other")
        # Twice: what it declares of itself and what it reports have a budget each.
        assert rows(hub, "events", key) <= 2 * lines
        assert len(hub.log) - logged <= LOG_BYTES
        neighbours.notice_nothing()


def _request(operation: Operation, key: MachineKey, number: int) -> str:
    """Another body each time; samples by the hundred, each in a boot of its own. The machine is the first: number 1."""
    at = "2026-11-23T13:05:09Z"
    boots = [{"timestamp": at, "boot_id": f"{number}-{n}", "seq": 1} for n in range(MAX_SAMPLES_PER_FRAME)]
    said = body_of(operation)
    if "reason" in said:
        said["reason"] = f"{number}{W}"
    body = json.dumps(boots if operation.name == "upload_metrics" else said)
    return (
        f"{operation.method} {address_of(operation)} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {key.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_requests_of_every_operation_are_refused_in_time_and_make_nothing_grow(tmp_path: Path) -> None:
    async with stage(tmp_path) as (hub, key, neighbours):
        requests = {one.name: [_request(one, key, n) for n in range(20)] for one in WRITTEN_BY_MACHINES}
        async with flooding_caller(hub.port, requests) as caller:
            memory, began = hub.memory_bytes(), time.monotonic()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(
                    caller.flood(), (LINES_AT_ONCE - BURST) / SUSTAINED_PER_S + 1
                )  # its burst of lines
            await neighbours.turns(caller.flood)
        took = time.monotonic() - began
        print(dict(caller.answers), f"{(hub.memory_bytes() - memory) / MIB:.1f} MiB")
        refused = sum(count for (_, status), count in caller.answers.items() if status == 429)
        assert refused >= REFUSALS_AT_ONCE
        assert sum(caller.answers.values()) <= BURST + SUSTAINED_PER_S * took + 150
        assert rows(hub, "machine_boots", key) <= MAX_SAMPLES_PER_FRAME + BOOTS_AT_ONCE
        assert rows(hub, "events", key) <= LINES_AT_ONCE + took + 2
        assert hub.memory_bytes() - memory <= 20 * MIB
        neighbours.notice_nothing()


@pytest.mark.parametrize("new_boots", [True, False])
async def test_new_links_and_new_boots_give_no_new_budget_of_samples(tmp_path: Path, new_boots: bool) -> None:
    """Neither before a boot has its row, nor by a link for each frame."""
    async with forked_hub(tmp_path) as hub:
        key, frames, began = await hub.add_machine("Flooding"), full_frames(), time.monotonic()
        for n in range(2 if new_boots else 8):
            async with MachineClient.connect(hub.websocket_url, key, ping_interval=None, close_timeout=0.1) as machine:
                await machine.say_hello(boot_id=f"boot-{n * new_boots}")
                with contextlib.suppress(asyncio.TimeoutError, *BROKEN):
                    for text in itertools.islice(frames, 50 if new_boots else 1):
                        await asyncio.wait_for(machine.socket.send(text), 0.5)
                    await asyncio.wait_for(machine.hear(m.MetricsAck), 0.5)
            await asyncio.sleep(1.1)  # else the hub refuses the next link for what it is
        taken = SAMPLES_AT_ONCE + SAMPLES_PER_S * (time.monotonic() - began)
        assert 0 < rows(hub, "system_metrics", key) <= taken + MAX_SAMPLES_PER_FRAME


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_links_in_new_boots_are_refused_before_they_are_remembered(tmp_path: Path) -> None:
    ends: Counter[int | None] = Counter()
    waits: set[str] = set()
    numbers = itertools.count()
    async with stage(tmp_path) as (hub, key, neighbours):

        async def one_link() -> int | None:
            """How it ended: its close code, or the status it was refused with."""
            try:
                async with MachineClient.connect(hub.websocket_url, key, ping_interval=None) as machine:
                    with contextlib.suppress(*BROKEN):
                        await machine.say_hello(boot_id=f"boot-{next(numbers)}")
            except websockets.InvalidStatus as refused:
                waits.add(refused.response.headers["Retry-After"])
                return refused.response.status_code
            return machine.socket.close_code

        async def flood() -> None:
            while True:
                ends[await one_link()] += 1

        logged, began = len(hub.log), time.monotonic()
        await neighbours.turns(flood)
        minutes = (time.monotonic() - began) / 60
        print(dict(ends))
        assert ends[1013] > 0
        assert ends[429] > 0
        assert all(wait.isdecimal() for wait in waits)
        assert sum(ends.values()) - ends[429] <= LINKS_AT_ONCE + LINKS_PER_MINUTE * minutes + 1
        assert rows(hub, "machine_boots", key) <= min(BOOTS_KEPT, BOOTS_AT_ONCE + 6 * minutes + 1)
        assert len(hub.log) - logged <= LOG_BYTES
        neighbours.notice_nothing()
