"""`/ws/tunnel` and those who should not be there, or say what they may not: they lose what is theirs, no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import websockets

from hub.links.links import Links
from hub.model.budgets import MachineBudget
from hub.remote.tunnel import socket
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import TunnelError
from protocol.stream_frames import FrameType
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.tunnel_end import SESSION, begun, ticket, tunnel_end
from tests.support.tunnel_room import is_up
from tests.support.until import until


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


async def test_a_ticket_opens_once_for_one_machine_and_one_session(hub: HubHere, key: MachineKey) -> None:
    other = await hub.add_machine("Station")
    used = ticket(hub, key)
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=used)
        for who, session_id, text in (
            (key, SESSION, used),
            (key, SESSION, "rubbish"),
            (other, 8, ticket(hub, key, 8)),
            (key, 9, ticket(hub, key, 8)),
        ):
            async with tunnel_end(hub, who) as wrong:
                assert await wrong.refused(session_id, ticket=text) == 4401
        assert is_up(hub.context[Tunnels], SESSION)


async def test_no_machine_resumes_the_session_of_another(hub: HubHere, key: MachineKey) -> None:
    other = await hub.add_machine("Station")
    async with tunnel_end(hub, key) as end:
        answer = await end.open(SESSION, ticket=ticket(hub, key))
        for who, session_id, secret in (
            (other, SESSION, answer.resume),
            (other, 999, answer.resume),
            (key, SESSION, "guessed"),
        ):
            async with tunnel_end(hub, who) as wrong:
                assert await wrong.refused(session_id, resume=secret) == 4403
        assert is_up(hub.context[Tunnels], SESSION)


async def test_a_wrong_key_is_answered_401_before_the_upgrade(hub: HubHere, key: MachineKey) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(hub.websocket_url + "/ws/tunnel", additional_headers=headers, proxy=None):
                pass
        assert refused.value.response.status_code == 401


async def test_a_hub_that_ends_and_a_quarantined_key_let_nobody_in(hub: HubHere, key: MachineKey) -> None:
    machine = hub.context.fleet.machines[key.id]
    machine.row = msgspec.structs.replace(machine.row, quarantined_until=hub.context.clock() + timedelta(seconds=60))
    for status in (429, 503):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with tunnel_end(hub, key):
                pass
        assert refused.value.response.status_code == status
        assert int(refused.value.response.headers["Retry-After"]) > 0
        hub.context[Links].restarting = True


async def test_who_says_nothing_is_not_waited_for(
    hub: HubHere, key: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "OPEN_TIMEOUT_S", 0.2)
    async with tunnel_end(hub, key) as end:
        assert await end.close_code() == 4401


async def test_tunnels_that_say_nothing_are_bounded_for_each_machine(hub: HubHere, key: MachineKey) -> None:
    other = await hub.add_machine("Station")
    ends = [tunnel_end(hub, key) for _ in range(socket.MOST_UNOPENED)]
    for end in ends:
        await end.__aenter__()
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with tunnel_end(hub, key):
            pass
    assert refused.value.response.status_code == 429
    async with tunnel_end(hub, other) as free:
        await free.open(SESSION, ticket=ticket(hub, other))
    for end in ends:
        await end.__aexit__(None, None, None)


async def test_tunnels_are_opened_within_the_machines_budget(hub: HubHere, key: MachineKey) -> None:
    hub.context[Links].budget = MachineBudget(frames_per_second=0.1, frames_at_once=3)
    for _ in range(3):
        async with tunnel_end(hub, key) as end:
            assert await end.refused(SESSION, ticket="rubbish") == 4401
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with tunnel_end(hub, key):
            pass
    assert refused.value.response.status_code == 429
    assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 10


@pytest.mark.parametrize("first", ["{}", "nonsense", '{"type":"open","session_id":7}', b"\x03\x00\x00\x00\x01x"])
async def test_a_wrong_first_frame_is_a_protocol_error(hub: HubHere, key: MachineKey, first: str | bytes) -> None:
    async with tunnel_end(hub, key) as end:
        await end.socket.send(first)
        assert await end.close_code() == 4400


FOREIGN = {
    "of a stream that was never opened": bytes([FrameType.DATA, 0, 0, 0, 9]) + b"x",
    "of a huge stream": bytes([FrameType.DATA, 255, 255, 255, 255]) + b"x",
    "of no stream": bytes([FrameType.DATA, 0, 0, 0, 0]) + b"x",
    "of an unknown type": bytes([200, 0, 0, 0, 1]),
    "that is the hub's to say": bytes([FrameType.OPEN, 0, 0, 0, 2]) + b'{"kind":"terminal"}',
    "that is too short": b"\x03",
    "that is text": "hello",
}


@pytest.mark.parametrize("frame", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_frame_ends_that_session_and_nothing_else(
    hub: HubHere, key: MachineKey, frame: bytes | str
) -> None:
    faults: list[tuple[int, str]] = []

    async def on_fault(session_id: int, reason: str) -> None:
        faults.append((session_id, reason))

    hub.context[Tunnels].on_fault = on_fault
    other = await hub.add_machine("Station")
    async with tunnel_end(hub, key) as bad, tunnel_end(hub, key) as same, tunnel_end(hub, other) as good:
        await bad.open(SESSION, ticket=ticket(hub, key))
        await same.open(8, ticket=ticket(hub, key, 8))
        await good.open(9, ticket=ticket(hub, other, 9))
        stream, _ = await begun(hub, bad)
        await bad.socket.send(frame)
        assert await bad.close_code() == 4400
        with pytest.raises(TunnelError, match="session_over: protocol_error"):
            await asyncio.wait_for(stream.receive(), 60)
        for end in (same, good):
            lively, number = await begun(hub, end)
            end.streams.send(number, b"well")
            await end.flush()
            assert await lively.receive() == b"well"
        await until(lambda: faults == [(SESSION, "protocol_error")])
