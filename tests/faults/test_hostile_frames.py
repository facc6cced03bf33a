"""Ten thousand wrong frames over many links: each ends as fits it, no traceback, and no neighbour notices."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.forked_hub import forked_hub
from tests.support.hostile_frames import Hostile, hostile
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess
from tests.support.raw_websocket import CLOSE, TEXT, RawWebSocket, frame
from tests.support.streaming_machine import StreamingMachine, streaming
from tests.support.until import until

FRAMES = 10_000
LINKS = 8
KEYS = 4
"""Of each attacker."""
ANSWER_WITHIN_S = 20.0
LONGEST_BLOCK_S = 0.1
"""The bar itself, although the hub shares two processors with the whole test run."""


class Attacker:
    """Some machines' keys in the wrong hands; a new link whenever the old one was ended, with another key each time:
    a link whose end the hub has not seen yet may be replaced only once a second."""

    def __init__(self, hub: HubProcess, keys: list[MachineKey], dice: random.Random, outcomes: Counter[str]) -> None:
        self._hub, self._keys, self._dice, self._outcomes = hub, itertools.cycle(keys), dice, outcomes
        self.misfits: list[tuple[str, bytes, int | None]] = []

    async def attack(self, count: int) -> None:
        while count > 0:
            count -= await asyncio.wait_for(self._one_link(count), 120)

    async def _one_link(self, at_most: int) -> int:
        """How many frames it took until the link was ended, or `at_most`."""
        key = next(self._keys)
        headers = [("Authorization", f"Bearer {key.api_key}"), ("Sec-WebSocket-Protocol", "myrvm.v2")]
        link = await RawWebSocket.open(self._hub.port, "/ws/device", headers=headers)
        try:
            await link.send(frame(TEXT, json.dumps(self._hello(key)).encode()))
            for number in range(1, at_most + 1):
                one = hostile(self._dice)
                end = await self._end_of(link, one, number)
                self._outcomes[f"{one.kind}: {end}"] += 1
                if end not in one.ends:
                    self.misfits.append((one.kind, one.data[:300], end))
                if end is not None:
                    return number
            return at_most
        finally:
            link.drop()

    async def _end_of(self, link: RawWebSocket, one: Hostile, number: int) -> int | None:
        """The close code it was answered with; None when the link answers a harmless message after it."""
        mark = f"harmless-{number}".encode()
        try:
            await link.send(one.data, frame(TEXT, b'{"type":"%s"}' % mark))
        except OSError:
            """It was closed while it was still being sent; the close frame is there to read."""
        while True:
            answer = await asyncio.wait_for(link.receive(), ANSWER_WITHIN_S)
            if answer.opcode == CLOSE:
                return answer.close_code
            if answer.opcode == TEXT and mark in answer.data:
                return None

    def _hello(self, key: MachineKey) -> dict[str, object]:
        return {
            "type": "hello", "protocol": 2, "device_id": key.device_id, "agent_version": "1", "boot_id": "b",
            "capabilities": [], "status": "active", "config_version": 0, "time": "2026-11-23T13:00:00Z",
        }  # fmt: skip


@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_ten_thousand_wrong_frames_upset_neither_the_hub_nor_a_neighbour(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    async with forked_hub(tmp_path, device_frames_per_second=0) as hub:
        keys = [await hub.add_machine(f"Machine {number}") for number in range(LINKS * KEYS + 1)]
        attackers = [
            Attacker(hub, keys[place * KEYS : (place + 1) * KEYS], random.Random(place), outcomes)
            for place in range(LINKS)
        ]
        neighbour = StreamingMachine(hub.websocket_url, keys[-1], every_s=0.05)
        async with streaming(neighbour), BrowserClient.open(hub) as page:
            reading = asyncio.ensure_future(page.shows(lambda: False, 10_000))  # every frame parses strictly
            await until(lambda: len(neighbour.acks) > 10)
            await asyncio.gather(*(attacker.attack(FRAMES // LINKS) for attacker in attackers))
            acks = len(neighbour.acks)
            await until(lambda: len(neighbour.acks) > acks + 5)
            assert not reading.done(), reading
            reading.cancel()
        for kind, times in sorted(outcomes.items()):
            print(f"{times:6} {kind}")
        slowest = max(ack.after_s for ack in neighbour.acks)
        print(f"the neighbour's slowest acknowledgement: {slowest:.3f} s; longest block {hub.longest_block_s:.3f} s")
        assert sum(outcomes.values()) == FRAMES
        assert [misfit for attacker in attackers for misfit in attacker.misfits] == []
        assert len(outcomes) >= 15
        assert neighbour.links == 1
        assert neighbour.errors == []
        assert slowest < 3
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert await hub.end() == 0
        assert "Traceback" not in hub.log
        assert "\x1b" not in hub.log
        assert "\x00" not in hub.log


UNINTRODUCED = [
    (b'{"type":"hello"}', {4400}),
    (b"[]", {4400}),
    (b'{"type":"metrics","seq":1,"samples":[{"timestamp":1}]}', {4400}),
    (b'{"type":"auth","token":"x"}', {4400}),
    (b"[" * 50_000, {4400}),
]
UNKNOWN = [
    (b'{"type":"hello"}', {4401}),
    (b"not json", {4400}),
    (b'{"type":"auth","token":7}', {4401}),
    (b'{"type":"auth","token":"rvmk_AAAAAAAA_wrong"}', {4401}),
    (b"[" * 50_000, {4400, 4401}),
]


@pytest.mark.parametrize("known", [True, False])
async def test_wrong_first_frames_end_with_the_code_of_their_state(tmp_path: Path, known: bool) -> None:
    async with forked_hub(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        for data, codes in UNINTRODUCED if known else UNKNOWN:
            headers = [("Authorization", f"Bearer {key.api_key}")] if known else []
            link = await RawWebSocket.open(hub.port, "/ws/device", headers=headers)
            await link.send(frame(TEXT, data))
            assert await link.until_close() in codes, data[:60]
            link.drop()
        assert "Traceback" not in hub.log
