"""`/ws/tunnel` over real sockets: which machine gets which session, what flows, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from db.records import MachineRow
from hub.model.changes import Drop, Patch
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import TunnelError
from protocol.streams import Data, Ended, Opened, WasReset
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


async def test_bytes_and_words_go_both_ways(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        answer = await end.open(SESSION, ticket=ticket(hub, key))
        assert (answer.session_id, answer.received, answer.idle) == (SESSION, 0, 900)
        assert end.socket.subprotocol == "myrvm.tunnel.v1"
        assert is_up(hub.context[Tunnels], SESSION)
        stream, number = await begun(hub, end)
        assert (stream.id, stream.info) == (number, {"pid": 1})
        await stream.send(b"echo\n")
        assert (await end.event(Data)).data == b"echo\n"
        end.streams.send(number, b"echo\r\n")
        end.streams.control(number, {"exit": 0})
        end.streams.end(number)
        await end.flush()
        assert await stream.receive() == b"echo\r\n"
        assert await stream.controls() == {"exit": 0}
        assert await stream.receive() == b""
        assert await stream.controls() is None
        await stream.finish()
        await end.event(Ended)


async def test_what_the_machine_refuses_is_raised_with_its_code(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=ticket(hub, key))
        opening = asyncio.ensure_future(hub.context[Tunnels].open(SESSION, "port", {"port": 22}))
        asked = await end.event(Opened)
        end.streams.reset(asked.id, "not_declared", "22 is not declared")
        await end.flush()
        with pytest.raises(TunnelError) as refused:
            await opening
        assert (refused.value.code, refused.value.message) == ("not_declared", "22 is not declared")


async def test_a_session_without_a_tunnel_is_refused_at_once(hub: HubHere, key: MachineKey) -> None:
    with pytest.raises(TunnelError, match="no_tunnel"):
        await asyncio.wait_for(hub.context[Tunnels].open(SESSION, "terminal", {}), 60)


async def test_a_stream_asked_for_before_the_tunnel_waits_for_it(hub: HubHere, key: MachineKey) -> None:
    text = ticket(hub, key)
    opening = asyncio.ensure_future(hub.context[Tunnels].open(SESSION, "terminal", {}))
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=text)
        asked = await end.event(Opened)
        end.streams.accept(asked.id, {})
        await end.flush()
        assert (await asyncio.wait_for(opening, 60)).info == {}


async def test_a_drop_loses_nothing_and_the_stream_goes_on(hub: HubHere, key: MachineKey) -> None:
    output = bytes(range(256)) * 512
    async with tunnel_end(hub, key) as end:
        answer = await end.open(SESSION, ticket=ticket(hub, key))
        stream, number = await begun(hub, end)
        assert end.streams.send(number, output) == len(output)
        lost = end.streams.to_send(10_000_000)
        for data in lost[: len(lost) // 2]:
            await end.socket.send(data)
        end.socket.transport.abort()
        await until(lambda: not is_up(hub.context[Tunnels], SESSION))
        await stream.send(b"typed while it was down")
        streams = end.streams
    async with tunnel_end(hub, key, streams) as end:
        again = await end.open(SESSION, resume=answer.resume)
        assert again.resume == answer.resume
        await end.flush()
        got = b""
        while len(got) < len(output):
            got += await asyncio.wait_for(stream.receive(), 60)
        assert got == output
        assert (await end.event(Data)).data == b"typed while it was down"


async def test_a_newer_tunnel_of_the_session_replaces_the_older(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as older:
        answer = await older.open(SESSION, ticket=ticket(hub, key))
        stream, _ = await begun(hub, older)
        async with tunnel_end(hub, key, older.streams) as newer:
            await newer.open(SESSION, resume=answer.resume)
            assert await older.close_code() == 4409
            assert is_up(hub.context[Tunnels], SESSION)
            await stream.send(b"here")
            assert (await newer.event(Data)).data == b"here"


async def test_the_end_of_a_session_closes_its_tunnel_and_its_streams(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        answer = await end.open(SESSION, ticket=ticket(hub, key))
        stream, _ = await begun(hub, end)
        hub.context[Tunnels].ends(SESSION, "stopped")
        assert await end.close_code() == 4403
        with pytest.raises(TunnelError, match="session_over: stopped"):
            await stream.send(b"late")
        async with tunnel_end(hub, key) as again:
            assert await again.refused(SESSION, resume=answer.resume) == 4403


@pytest.mark.parametrize("how", ["removed", "new key"])
async def test_a_machine_that_is_removed_or_gets_a_new_key_loses_its_tunnel(
    hub: HubHere, key: MachineKey, how: str
) -> None:
    faults: list[tuple[int, str]] = []

    async def on_fault(session_id: int, reason: str) -> None:
        faults.append((session_id, reason))

    hub.context[Tunnels].on_fault = on_fault
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=ticket(hub, key))
        now = hub.context.clock()
        if how == "removed":
            await hub.context.announce(Drop(MachineRow, key.id))
        else:
            await hub.context.announce(
                Patch(MachineRow, key.id, {"api_key": "0" * 64, "quarantined_until": None, "updated_at": now})
            )
        assert await end.close_code() == 4403
        await until(lambda: faults == [(SESSION, "revoked")])


async def test_a_machine_that_does_not_read_stops_the_sender(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=ticket(hub, key))
        stream, number = await begun(hub, end)
        sending = asyncio.ensure_future(stream.send(bytes(600_000)))
        got = 0
        while got < 262_144:
            got += len((await end.event(Data)).data)
        assert not sending.done()
        end.streams.consumed(number, got)
        await end.flush()
        while got < 600_000:
            size = len((await end.event(Data)).data)
            end.streams.consumed(number, size)
            await end.flush()
            got += size
        await asyncio.wait_for(sending, 60)


async def test_a_stream_that_is_reset_here_is_reset_there(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=ticket(hub, key))
        stream, _ = await begun(hub, end)
        stream.reset("closed", "the page was closed")
        assert (await end.event(WasReset)).code == "closed"
        with pytest.raises(TunnelError, match="closed"):
            await stream.receive()


async def test_a_hub_that_restarts_announces_it(hub: HubHere, key: MachineKey) -> None:
    async with tunnel_end(hub, key) as end:
        await end.open(SESSION, ticket=ticket(hub, key))
        assert hub.context[Tunnels].end_all() == 1
        assert await end.close_code() == 1012
