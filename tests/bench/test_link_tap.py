"""The tap passes every byte on and times what it claims to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.link_tap import link_tap
from protocol import messages as m
from tests.support.hub_process import hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import PATIENCE_S

SAMPLES = 40


@pytest.mark.timeout(60)
async def test_every_acknowledgement_is_timed_once_and_arrives(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub, link_tap(hub.port) as tap:
        key = await hub.add_machine("Lobby")
        async with MachineClient.connect(f"ws://127.0.0.1:{tap.port}", key) as machine:
            await machine.say_hello()
            for seq in range(SAMPLES):
                await machine.samples(float(seq), seq=seq)
            while (await machine.hear(m.MetricsAck)).seq < SAMPLES - 1:
                pass
        assert (len(tap.acks_s), len(tap.gaps_s)) == (SAMPLES, SAMPLES - 1)
        assert min(tap.acks_s) > 0
        assert (tap.links, tap.tunnels) == (1, 0)
        tap.begin()
        assert tap.acks_s == []


async def test_what_is_no_link_passes_unread() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head + await reader.readexactly(200_000))
        writer.write_eof()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, link_tap(server.sockets[0].getsockname()[1]) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
        sent = b"GET /ws/tunnel HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 781 + b"\0" * 64
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(-1), PATIENCE_S) == sent
        assert (tap.tunnels, tap.acks_s) == (1, [])
        writer.close()
