"""The registry of tunnels without a socket: whose time is up, who ends sessions, what streams feel."""

from __future__ import annotations

from datetime import datetime, timezone

import anyio
import pytest

from db.records import RemoteSessionRow
from hub.model.changes import move
from hub.remote.tunnel import registry as module
from hub.remote.tunnel.registry import Admission, Tunnels
from hub.remote.tunnel.tunnel import TunnelError
from protocol.errors import CloseCode
from protocol.stream_limits import GRACE_S, IDLE_S, MAX_STREAMS
from protocol.streams import Role, Streams
from protocol.tunnel_greeting import TunnelOpen
from tests.support.tunnel_room import MACHINE, SESSION, Room, is_up
from tests.support.until import until


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_session_whose_streams_are_quiet_for_long_ends_as_idle(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.now += IDLE_S
    await stream.send(b"x")
    room.now += IDLE_S
    room.tunnels.find_faults()
    assert is_up(room.tunnels, SESSION)
    room.now += 1
    room.tunnels.find_faults()
    await room.tunnels.report_faults()
    assert room.faults == [(SESSION, "idle")]
    assert room.attachment is not None
    assert room.attachment.code is CloseCode.REVOKED
    with pytest.raises(TunnelError, match="session_over: idle"):
        await stream.receive()


async def test_bytes_of_the_machine_keep_a_session_alive(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.now += IDLE_S
    room.machine.send(stream.id, b"x")
    room.to_hub()
    room.now += IDLE_S
    room.tunnels.find_faults()
    assert is_up(room.tunnels, SESSION)


async def test_a_tunnel_that_does_not_come_back_ends_the_session(room: Room) -> None:
    room.up()
    room.down()
    room.now += GRACE_S
    room.tunnels.find_faults()
    assert isinstance(room.admit(resume=room.resume), Admission)
    room.now += 2 * GRACE_S
    room.tunnels.find_faults()
    await room.tunnels.report_faults()
    assert room.faults == []
    room.up()
    room.down()
    room.now += GRACE_S + 1
    room.tunnels.find_faults()
    await room.tunnels.report_faults()
    assert room.faults == [(SESSION, "link_lost")]
    assert room.admit(resume=room.resume) is CloseCode.REVOKED


async def test_a_gap_that_cannot_be_repeated_ends_the_session(room: Room) -> None:
    room.up()
    await room.opened()
    greeting = TunnelOpen(session_id=SESSION, resume=room.resume, received=999)
    assert room.tunnels.admit(greeting, MACHINE) is CloseCode.PROTOCOL_ERROR
    await room.tunnels.report_faults()
    assert room.faults == [(SESSION, "protocol_error")]
    assert not is_up(room.tunnels, SESSION)


async def test_an_end_that_cannot_be_recorded_is_reported_until_it_is_and_then_never_again(room: Room) -> None:
    room.up()
    room.refusing = 3
    room.now += IDLE_S + 1
    room.tunnels.find_faults()
    await room.tunnels.report_faults()
    assert room.faults == [(SESSION, "idle")]
    await room.tunnels.report_faults()
    assert room.faults == [(SESSION, "idle")]


async def test_the_clock_looks_by_itself(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAULTS_EVERY_S", 0.001)
    room.up()
    room.now += IDLE_S + 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.tunnels.run)
        await until(lambda: room.faults == [(SESSION, "idle")])
        tasks.cancel_scope.cancel()


async def test_while_no_end_can_be_recorded_the_clock_still_ends_what_has_to_end(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAULTS_EVERY_S", 0.001)
    room.refusing = 1_000_000
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.tunnels.run)
        for _ in range(2):
            room.up()
            room.now += IDLE_S + 1
            await until(lambda: not is_up(room.tunnels, SESSION))
        assert room.faults == []
        room.refusing = 0
        await until(lambda: room.faults == [(SESSION, "idle")] * 2)
        tasks.cancel_scope.cancel()


async def test_an_agent_with_a_new_ticket_and_no_memory_begins_anew(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.machine = Streams(Role.MACHINE)
    room.up()
    with pytest.raises(TunnelError, match="session_over: replaced"):
        await stream.receive()
    assert (await room.opened()).id == 1
    assert room.faults == []


async def test_who_does_not_answer_in_time_is_not_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_LIMIT_S", 0.05)
    room.up()
    with pytest.raises(TunnelError, match="timeout"):
        await room.tunnels.open(SESSION, "terminal", {})
    room.tunnels.tickets.issue(8, MACHINE)
    with pytest.raises(TunnelError, match="no_tunnel"):
        await room.tunnels.open(8, "terminal", {})


async def test_an_end_wakes_who_waits_for_the_tunnel(room: Room) -> None:
    room.tunnels.tickets.issue(SESSION, MACHINE)

    async def ask() -> None:
        with pytest.raises(TunnelError, match="no_tunnel"):
            await room.tunnels.open(SESSION, "terminal", {})

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            room.tunnels.ends(SESSION, "stopped")


async def test_a_65th_stream_is_refused_and_finished_ones_do_not_count(room: Room) -> None:
    room.up()
    streams = [await room.opened() for _ in range(MAX_STREAMS)]
    with pytest.raises(TunnelError, match="too_many_streams"):
        await room.tunnels.open(SESSION, "terminal", {})
    await streams[0].finish()
    room.to_machine()
    room.machine.end(streams[0].id)
    room.to_hub()
    await room.opened()


async def test_an_old_socket_has_no_say_any_more(room: Room) -> None:
    room.up()
    older = room.attachment
    assert older is not None
    assert isinstance(room.admit(resume=room.resume), Admission)
    assert older.code is CloseCode.REPLACED
    older.receive(b"rubbish")
    older.refuse("rubbish")
    assert older.to_send(10) == []
    older.tunnel.detach(older)
    assert is_up(room.tunnels, SESSION)


@pytest.mark.parametrize(("status", "end_reason"), [("ended", "stopped"), ("refused", None)])
async def test_a_session_that_ended_loses_its_tunnel_and_its_tickets(
    room: Room, status: str, end_reason: str | None
) -> None:
    room.up()
    stream = await room.opened()
    unused = room.tunnels.tickets.issue(SESSION, MACHINE)
    at = datetime(2026, 5, 1, tzinfo=timezone.utc)
    session = RemoteSessionRow(
        id=SESSION, rvm_id=MACHINE, admin_id=1, admin_name="Sari", status="active", start_time=at, expires_at=at,
        duration_s=1800, created_at=at,
    )  # fmt: skip
    room.tunnels.on_commit([move(session, status="active")])
    assert is_up(room.tunnels, SESSION)
    room.tunnels.on_commit([move(session, status=status, end_reason=end_reason)])
    with pytest.raises(TunnelError, match=f"session_over: {end_reason or status}"):
        await stream.receive()
    assert room.admit(ticket=unused) is CloseCode.NOT_AUTHENTICATED
    await room.tunnels.report_faults()
    assert room.faults == [], "who ended it need not be told"


async def test_without_anybody_who_ends_sessions_the_tunnel_ends_all_the_same(room: Room) -> None:
    alone = Tunnels(monotonic=lambda: room.now)
    ticket = alone.tickets.issue(SESSION, MACHINE)
    assert isinstance(alone.admit(TunnelOpen(session_id=SESSION, ticket=ticket), MACHINE), Admission)
    room.now += IDLE_S + 1
    alone.find_faults()
    await alone.report_faults()
    assert not is_up(alone, SESSION)
