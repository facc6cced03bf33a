"""The agent as a process in remote access sessions: begun, used through the tunnel, dropped, ended in every way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from protocol import messages as m
from tests.device.agent_process import AgentProcess, running_agent
from tests.support.fake_hub import FakeHub
from tests.support.fake_tunnel import FakeTunnels, tunnelled_hub
from tests.support.until import until

TICKET = "ticket-canary-1"
LEASE = {
    "session_id": 7, "admin_ip": "127.0.0.1", "ports": [5000], "duration": 600, "ticket": TICKET, "admin": "Siti",
    "reason": "belt",
}  # fmt: skip
Room = tuple[FakeHub, FakeTunnels, AgentProcess]


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with tunnelled_hub() as (hub, tunnels):
        tunnels.tickets.add(TICKET)
        async with running_agent(tmp_path, hub.url, admin_ips=["127.0.0.0/8"], terminal_command=["/bin/cat"]) as agent:
            await hub.connected(seconds=60)
            yield hub, tunnels, agent


async def do(hub: FakeHub, name: str, **args: Any) -> m.CommandUpdate:
    command = hub.command(name, args)
    await hub.link.say(command)
    return await hub.answer(command)


async def start(hub: FakeHub, **members: Any) -> m.CommandUpdate:
    return await do(hub, "start_remote_access", **{**LEASE, **members})


async def ended(hub: FakeHub, count: int = 1) -> str | None:
    await hub.until(lambda: len(hub.sessions) >= count)
    assert hub.sessions[count - 1].state == "ended"
    return hub.sessions[count - 1].reason


async def test_a_session_is_maintenance_with_a_shell_and_gives_back_what_was(room: Room) -> None:
    hub, tunnels, agent = room
    await do(hub, "set_status", status="full", special_status="error", reason="jam")
    update = await start(hub)
    assert (update.state, update.result) == ("succeeded", {"session_id": 7, "duration": 600.0})
    await hub.until(lambda: hub.reports)
    report = hub.reports[-1]
    assert (report.status, report.special_status, report.reason) == ("full", "maintenance", "remote access: belt")
    await tunnels.opened()
    terminal = tunnels.open("terminal", cols=80, rows=24, term="xterm")
    await tunnels.until(lambda: terminal in tunnels.accepted)
    tunnels.send(terminal, b"hello\n")
    await tunnels.until(lambda: b"hello" in tunnels.data[terminal])
    assert (await do(hub, "stop_remote_access", session_id=7, reason="stopped")).result == {
        "session_id": 7, "was_open": True,
    }  # fmt: skip
    assert await ended(hub) == "stopped"
    await hub.until(lambda: hub.reports[-1].special_status == "error")
    assert (hub.reports[-1].status, hub.reports[-1].reason) == ("full", "jam")
    await until(lambda: tunnels.sockets[-1].state.name == "CLOSED")
    for place in (agent.folder / "machine.json.state").rglob("*"):
        assert place.is_dir() or TICKET.encode() not in place.read_bytes(), place
    assert TICKET not in agent.log


def echoed(tunnels: FakeTunnels, terminal: int, turn: int) -> bool:
    return tunnels.data[terminal].count(b"line %d" % turn) >= 2


async def test_a_dropped_tunnel_comes_back_without_a_ticket_and_loses_nothing(room: Room) -> None:
    hub, tunnels, _ = room
    await start(hub)
    await tunnels.opened()
    terminal = tunnels.open("terminal", cols=80, rows=24, term="xterm")
    await tunnels.until(lambda: terminal in tunnels.accepted)
    for turn in range(1, 4):
        tunnels.send(terminal, b"line %d\n" % turn)
        tunnels.drop()
        await tunnels.opened(turn + 1)
        await tunnels.until(partial(echoed, tunnels, terminal, turn))
    seen = tunnels.data[terminal].decode().split()
    assert sorted(seen) == sorted(["line"] * 6 + ["1", "1", "2", "2", "3", "3"]), "echo and cat, each once"
    assert tunnels.greetings[0].ticket == TICKET
    assert all(one.ticket is None and one.resume for one in tunnels.greetings[1:])


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"admin_ip": "192.0.2.9"}, "address_not_allowed"),
        ({"admin_ip": "not an address"}, "address_not_allowed"),
        ({"ports": [22]}, "not_declared"),
        ({"duration": 0}, "invalid"),
    ],
)
async def test_what_the_machine_itself_does_not_allow_is_rejected(
    room: Room, members: dict[str, Any], code: str
) -> None:
    hub, _, _ = room
    update = await start(hub, **members)
    assert (update.state, update.error and update.error.code) == ("rejected", code)
    assert hub.reports == []


async def test_a_second_session_is_one_too_many_and_a_switched_off_machine_has_none(room: Room) -> None:
    hub, _, _ = room
    await start(hub)
    second = await start(hub, session_id=8)
    assert second.error is not None
    assert second.error.code == "too_many_sessions"
    await hub.configure(3, remote_access_enabled=False)
    assert await ended(hub) == "revoked"
    third = await start(hub, session_id=9)
    assert third.error is not None
    assert third.error.code == "disabled"


async def test_the_machine_keeps_the_time_itself_and_longer_when_it_is_extended(room: Room) -> None:
    hub, tunnels, _ = room
    await start(hub, duration=1.0)
    assert await ended(hub) == "timed_out"
    tunnels.tickets.add("another")
    await start(hub, session_id=8, duration=3.0, ticket="another")
    update = await do(hub, "extend_remote_access", session_id=8, duration=600)
    assert update.state == "succeeded"
    await asyncio.sleep(3.5)  # beyond the first time, in which nothing may come
    assert len(hub.sessions) == 1
    assert (await do(hub, "extend_remote_access", session_id=99, duration=5)).state == "rejected"


async def test_a_killed_agent_ends_its_session_when_it_comes_back(room: Room) -> None:
    hub, _, agent = room
    await start(hub)
    await agent.kill()
    await agent.start()
    hello = (await hub.connected(2)).hello
    assert hello is not None
    assert (hello.special_status, hello.remote_session) == (None, [])
    assert await ended(hub) == "agent_restarted"


async def test_the_hub_learns_what_is_open_and_what_there_is(room: Room) -> None:
    hub, _, _ = room
    hello = hub.link.hello
    assert hello is not None
    assert hello.remote_session == []
    assert hello.hardware is not None
    assert hello.hardware["remote"] == {
        "ports": [5000, 5001], "names": {}, "control": 5001, "terminal": True, "download": [], "upload": [],
    }  # fmt: skip
    await start(hub)
    hub.link.socket.transport.abort()
    hello = (await hub.connected(2)).hello
    assert hello is not None
    assert hello.remote_session == [7]
    assert hello.special_status == "maintenance"


async def test_a_ticket_that_opens_nothing_ends_the_session(room: Room) -> None:
    hub, tunnels, _ = room
    tunnels.tickets.clear()
    await start(hub)
    assert await ended(hub) == "start_failed"


async def test_a_hub_that_says_the_session_is_over_is_believed(room: Room) -> None:
    hub, tunnels, _ = room
    await start(hub)
    await tunnels.opened()
    tunnels.close_with = 4403
    tunnels.drop()
    assert await ended(hub) == "stopped"


async def test_a_frame_against_the_rules_ends_this_session_only(room: Room) -> None:
    hub, tunnels, _ = room
    await start(hub)
    await tunnels.opened()
    await tunnels.sockets[-1].send(b"\x03\x00\x00\x00\x63bytes of a stream nobody opened")
    assert await ended(hub) == "protocol_error"
    assert (await do(hub, "ping")).state == "succeeded"


async def test_a_session_begun_on_site_has_no_tunnel(room: Room) -> None:
    hub, tunnels, _ = room
    update = await start(hub, ticket="", site=True)
    assert update.state == "succeeded"
    await do(hub, "stop_remote_access", session_id=7, reason="stopped")
    assert await ended(hub) == "stopped"
    assert tunnels.greetings == []


def test_an_agent_nobody_visits_carries_none_of_it() -> None:
    check = (
        "import sys, device.agent, device.cli.main; "
        "lazy = ('device.remote.session', 'device.remote.trusted', 'device.remote.left', 'device.cli.remote', "
        "'device.control_page.server', 'device.control_page.page'); "
        "print([m for m in sys.modules if m.startswith(lazy)])"
    )
    said = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"
