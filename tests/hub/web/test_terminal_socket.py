"""/ws/terminal over real sockets: who may open it, that nothing is lost or doubled, and how it ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import websockets

from db import recordings as rows
from hub.core import changes as c
from hub.core.remote_changes import RemoteSession, SessionOpened
from hub.flow import terminal as terminal_module
from hub.flow.engine import utc_now
from hub.flow.output_ring import SIZE
from hub.flow.tunnel_error import TunnelError
from tests.support.browser_client import cookie, origin
from tests.support.fake_tunnels import FakeStream, FakeTunnels
from tests.support.hub_people import MachineKey, Person
from tests.support.hub_process import HubHere, hub_here
from tests.support.remote_operator import TerminalClient
from tests.support.until import until


@dataclass
class Room:
    """A hub, a machine, the administrator's active lease on it, and streams the test holds the other end of."""

    hub: HubHere
    machine: MachineKey
    tunnels: FakeTunnels
    session: RemoteSession

    @contextlib.asynccontextmanager
    async def socket(self, person: Person | None = None) -> AsyncIterator[TerminalClient]:
        async with websockets.connect(
            self.hub.websocket_url + "/ws/terminal", additional_headers=cookie(self.hub, person or self.hub.admin),
            origin=origin(self.hub), compression=None, proxy=None, max_size=None,
        ) as socket:  # fmt: skip
            yield TerminalClient(socket)

    @contextlib.asynccontextmanager
    async def terminal(self) -> AsyncIterator[tuple[TerminalClient, FakeStream]]:
        async with self.socket() as page:
            await say(page, type="open", session=self.session.id, cols=80, rows=24)
            await page.until(lambda: page.heard)
            assert page.heard[0]["type"] == "ready", page.heard
            yield page, self.tunnels.streams[-1]

    async def code_of(self, first: Any, person: Person | None = None) -> tuple[str | None, int]:
        """The error a first frame gets, and the close code."""
        async with self.socket(person) as page:
            await page.socket.send(first if isinstance(first, (str, bytes)) else json.dumps(first))
            code = await page.closed()
            return next((text["code"] for text in page.heard), None), code

    def opening(self, **members: Any) -> dict[str, Any]:
        return {"type": "open", "session": self.session.id, "cols": 80, "rows": 24, **members}


async def say(page: TerminalClient, **members: Any) -> None:
    await page.socket.send(json.dumps(members))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with hub_here(tmp_path) as hub:
        machine = await hub.add_machine("Lobby")
        tunnels = FakeTunnels()
        hub.context.terminals._tunnels = tunnels
        yield Room(hub, machine, tunnels, await lease(hub, machine))


async def lease(hub: HubHere, machine: MachineKey, **members: Any) -> RemoteSession:
    now = utc_now()
    session = RemoteSession(
        id=0, rvm_id=machine.id, admin_id=hub.admin.id, admin_name="boss", status="active", start_time=now,
        expires_at=now + timedelta(minutes=30), duration_s=1800.0, created_at=now, reason="camera",
        ip_address="127.0.0.1", **members,
    )  # fmt: skip
    line = c.EventHappened(
        at=now, code="remote.started", actor=f"user:{hub.admin.id}", rvm_id=machine.id, params={"session_id": 0}
    )
    opened = (await hub.context.announce(SessionOpened(session=session), line))[0]
    assert isinstance(opened, SessionOpened)
    return opened.session


async def upgrade_status(hub: HubHere, headers: dict[str, str]) -> int:
    try:
        async with websockets.connect(hub.websocket_url + "/ws/terminal", additional_headers=headers, proxy=None):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("http://evil.example", 403), ("null", 403), (None, 403), ("http://127.0.0.1:1", 403),
        ("https://127.0.0.1:{port}", 403), ("http://sub.127.0.0.1:{port}", 403), ("http://localhost:{port}", 403),
        ("http://127.0.0.1:{port}", 101),
    ],
)  # fmt: skip
async def test_only_our_own_pages_open_it(room: Room, said: str | None, status: int) -> None:
    headers = cookie(room.hub, room.hub.admin) | ({"Origin": said.format(port=room.hub.port)} if said else {})
    assert await upgrade_status(room.hub, headers) == status


async def test_a_token_a_key_a_viewer_and_nobody_stay_outside(room: Room) -> None:
    own, viewer = {"Origin": room.hub.url}, await room.hub.people.add("viewer")
    for headers in (
        own, own | {"Authorization": f"Bearer {room.hub.admin.token}"}, own | cookie(room.hub, viewer),
        own | {"Authorization": f"Bearer {room.machine.api_key}"},
    ):  # fmt: skip
        assert await upgrade_status(room.hub, headers) == 403


async def test_keys_go_down_output_comes_up_and_the_end_tells_the_exit_code(room: Room) -> None:
    async with room.terminal() as (page, stream):
        assert page.ready["user"] == "myrvm-service"
        assert (page.ready["recorded"], page.ready["input_recorded"], page.ready["from"]) == (True, False, 0)
        assert stream.args == {"cols": 80, "rows": 24, "term": "xterm-256color"}
        await page.type("echo é\r")
        await until(lambda: stream.typed.decode() == "echo é\r")
        stream.say("é\r\n".encode())
        await page.shows("é")
        await say(page, type="resize", cols=100, rows=40)
        await until(lambda: stream.words == [{"resize": [100, 40]}])
        stream.exit(3)
        assert await page.closed() == 1000
        assert page.heard[-1] == {"type": "ended", "code": "exited", "exit": 3}
        assert stream.finished


async def test_what_happened_is_recorded_without_what_was_typed(room: Room) -> None:
    async with room.terminal() as (page, stream):
        await page.type("secret\r")
        await until(lambda: stream.typed)
        stream.say(b"shown")
        await page.shows("shown")
        stream.exit(0)
        await page.closed()
    row = await one_recording(room)
    assert (row["end_reason"], row["ip_address"], row["reason"], row["user_name"]) == (
        "exited", "127.0.0.1", "camera", room.hub.admin.email,
    )  # fmt: skip
    async with room.hub.client() as client:
        cast = await client.post(f"/api/v2/recordings/{row['id']}/play")
    lines = [json.loads(line) for line in cast.text.splitlines()]
    assert lines[0]["title"] == "Lobby"
    assert [line[1:] for line in lines[1:]] == [["o", "shown"]]
    assert "secret" not in cast.text


async def one_recording(room: Room) -> dict[str, Any]:
    """The machine's only one, when it is in the object store."""
    store = room.hub.context.store

    async def stored() -> bool:
        return bool(await rows.in_state(store, "stored"))

    for _ in range(500):
        if await stored():
            break
        await terminal_module.anyio.sleep(0.02)
    async with room.hub.client() as client:
        (found,) = (await client.get(f"/api/v2/rvms/{room.machine.id}/remote-access/recordings")).json()["data"]
    return dict(found)


async def test_a_browser_that_comes_back_finds_the_same_shell_and_lost_nothing(room: Room) -> None:
    async with room.terminal() as (page, stream):
        stream.say(b"before ")
        await page.shows("before ")
        terminal = page.ready["terminal"]
    stream.say(b"while away ")
    await until(lambda: stream.taken == len(b"before while away "))
    async with room.socket() as page:
        await say(page, type="attach", terminal=terminal, received=4)
        page.output += b"befo"
        await page.shows("away ")
        assert bytes(page.output) == b"before while away "
        assert page.ready["from"] == 4
        stream.say(b"after")
        await page.shows("after")


async def test_a_page_that_confirms_loses_nothing_however_much_was_on_its_way(room: Room) -> None:
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
        await say(page, type="received", bytes=0)
        stream.say(b"x")
        await page.shows("x")
        for n in range(64):
            stream.say(bytes([65 + n % 26]) * 16384)
        await until(lambda: stream.taken >= SIZE)
        await until(lambda: len(room.hub.context.terminals) == 1)
    assert stream.taken <= SIZE + 16384, "more than a ring is not taken from the machine"
    async with room.socket() as page:
        await say(page, type="attach", terminal=terminal, received=1)
        page.output += b"x"
        await page.until(lambda: len(page.output) == 1 + 64 * 16384, within=30)
        assert bytes(page.output) == b"x" + b"".join(bytes([65 + n % 26]) * 16384 for n in range(64))


async def test_a_second_socket_of_the_holder_takes_the_terminal_over(room: Room) -> None:
    async with room.terminal() as (first, stream), room.socket() as second:
        await say(second, type="attach", terminal=first.ready["terminal"], received=0)
        await second.until(lambda: second.heard)
        assert await first.closed() == 4409
        assert first.heard[-1]["code"] == "replaced"
        stream.say(b"here")
        await second.shows("here")


async def test_somebody_else_with_the_terminals_id_is_shut_out_and_ends_the_lease(room: Room) -> None:
    other = await room.hub.people.add("admin")
    async with room.terminal() as (page, stream):
        attach = {"type": "attach", "terminal": page.ready["terminal"], "received": 0}
        assert await room.code_of(attach, other) == ("not_found", 4403)
        await page.closed()
        assert page.heard[-1]["code"] == "intruder"
        assert stream.was_reset == "intruder"
    async with room.hub.client() as client:
        events = (await client.get("/api/v2/events", params={"code": "remote.intruder"})).json()["data"]
    assert [event["params"]["user_id"] for event in events] == [other.id]


async def test_a_session_of_another_and_one_that_is_not_there_look_alike(room: Room) -> None:
    other = await room.hub.people.add("admin")
    assert await room.code_of(room.opening(), other) == ("not_found", 4403)
    assert await room.code_of(room.opening(session=999)) == ("not_found", 4403)
    assert room.tunnels.streams == []
    assert await room.code_of({"type": "attach", "terminal": "guess", "received": 0}) == ("no_terminal", 1000)


async def test_a_machine_that_refuses_is_told_with_its_code(room: Room) -> None:
    room.tunnels.refusal = TunnelError("no_shell", "there is no /bin/sh")
    assert await room.code_of(room.opening()) == ("no_shell", 1000)


async def test_four_terminals_are_the_most_of_a_lease(room: Room) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(room.terminal())
        assert await room.code_of(room.opening()) == ("too_many", 1000)


async def test_a_lease_without_a_terminal_opens_none(room: Room) -> None:
    session = await lease(room.hub, room.machine, allow=("ports",))
    assert await room.code_of(room.opening(session=session.id)) == ("not_allowed", 1000)


async def test_the_end_of_the_lease_ends_the_terminal_with_its_reason(room: Room) -> None:
    async with room.terminal() as (page, stream):
        await room.hub.context.leases.end(room.session.id, "timed_out")
        await page.closed()
        assert page.heard[-1] == {"type": "ended", "code": "timed_out"}
        assert stream.was_reset == "timed_out"


async def test_lost_rights_close_the_socket_within_5_s(room: Room) -> None:
    async with room.terminal() as (page, stream):
        await room.hub.context.announce(c.SessionEnded(user_id=room.hub.admin.id, hash=None, at=utc_now()))
        room.hub.context.gate.known.forget_user(room.hub.admin.id)
        await page.closed(within=5)
        assert stream.was_reset is not None


async def test_a_terminal_whose_browser_stays_away_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "GONE_S", 0.05)
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
    await until(lambda: stream.was_reset == "browser_gone")
    async with room.socket() as page:
        await say(page, type="attach", terminal=terminal, received=0)
        await page.closed()
        assert page.heard[-1] == {"type": "ended", "code": "browser_gone"}


async def test_the_page_can_end_the_shell_at_once(room: Room) -> None:
    async with room.terminal() as (page, stream):
        await say(page, type="close")
        await page.closed()
        assert page.heard[-1]["code"] == "closed"
    await until(lambda: len(room.hub.context.terminals) == 0)
    assert stream.was_reset == "closed"


async def test_input_that_the_machine_does_not_take_waits_and_arrives_in_order(room: Room) -> None:
    async with room.terminal() as (page, stream):
        stream.open.clear()
        sent = b"".join(bytes([65 + n]) * 30000 for n in range(8))
        for n in range(8):
            await page.socket.send(sent[n * 30000 : (n + 1) * 30000])
        stream.say(b"still shown")
        await page.shows("still shown")
        stream.open.set()
        await until(lambda: len(stream.typed) == len(sent))
        assert bytes(stream.typed) == sent


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400), ('{"type":"resize","cols":80,"rows":24}', 4400), (b"\x00", 4400), ("[" * 400, 4400),
        ('{"type":"open","session":1,"cols":0,"rows":24}', 4400), ('{"type":"open","session":true}', 4400),
        ('{"type":"attach","terminal":"' + "x" * 600 + '"}', 4400),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
async def test_what_no_page_would_say_first_closes_the_socket(room: Room, frame: Any, code: int) -> None:
    assert (await room.code_of(frame))[1] == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400), ('{"type":"open","session":1,"cols":80,"rows":24}', 4400),
        ('{"type":"resize","cols":99999,"rows":24}', 4400), (b"x" * 33000, 1009), (b"x" * 70000, 1009),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
async def test_what_no_page_would_say_later_closes_the_socket_and_not_the_shell(
    room: Room, frame: Any, code: int
) -> None:
    async with room.terminal() as (page, stream):
        await page.socket.send(frame)
        assert await page.closed() == code
        assert stream.was_reset is None
