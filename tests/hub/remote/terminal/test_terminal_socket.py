"""/ws/terminal over real sockets: who may open it, what it refuses to be told, and how many there are of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import websockets

from hub.remote.terminal import socket
from hub.remote.tunnel.tunnel import TunnelError
from tests.support.browser_client import cookie
from tests.support.hub_process import HubHere
from tests.support.terminal_room import TerminalRoom, lease, say, terminal_room
from tests.support.until import until


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[TerminalRoom]:
    async with terminal_room(tmp_path) as made:
        yield made


async def upgrade_status(hub: HubHere, headers: dict[str, str]) -> int:
    try:
        async with websockets.connect(hub.websocket_url + "/ws/terminal", additional_headers=headers, proxy=None):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_only_our_own_pages_open_it(room: TerminalRoom) -> None:
    for said in (
        "http://evil.example", "null", None, "http://127.0.0.1:1", "https://127.0.0.1:{port}",
        "http://sub.127.0.0.1:{port}", "http://localhost:{port}",
    ):  # fmt: skip
        headers = cookie(room.hub, room.hub.admin) | ({"Origin": said.format(port=room.hub.port)} if said else {})
        assert await upgrade_status(room.hub, headers) == 403, said
    assert await upgrade_status(room.hub, cookie(room.hub, room.hub.admin) | {"Origin": room.hub.url}) == 101


async def test_a_token_a_key_a_viewer_and_nobody_stay_outside(room: TerminalRoom) -> None:
    own, viewer = {"Origin": room.hub.url}, await room.hub.people.add("viewer")
    for headers in (
        own, own | {"Authorization": f"Bearer {room.hub.admin.token}"}, own | cookie(room.hub, viewer),
        own | {"Authorization": f"Bearer {room.machine.api_key}"},
    ):  # fmt: skip
        assert await upgrade_status(room.hub, headers) == 403


async def test_a_session_of_another_and_one_that_is_not_there_look_alike(room: TerminalRoom) -> None:
    other = await room.hub.people.add("admin")
    assert await room.code_of(room.opening(), other) == ("not_found", 4403)
    assert await room.code_of(room.opening(session=999)) == ("not_found", 4403)
    assert room.tunnels.streams == []
    assert await room.code_of({"type": "attach", "terminal": "guess", "received": 0}) == ("no_terminal", 1000)


async def test_a_machine_that_refuses_is_reported_with_its_code(room: TerminalRoom) -> None:
    room.tunnels.refusal = TunnelError("no_shell", "there is no /bin/sh")
    assert await room.code_of(room.opening()) == ("no_shell", 1000)


async def test_four_terminals_are_the_most_of_a_session(room: TerminalRoom) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(room.terminal())
        assert await room.code_of(room.opening()) == ("too_many", 1000)


async def test_a_session_without_a_terminal_opens_none(room: TerminalRoom) -> None:
    session = await lease(room.hub, room.machine, allow=("ports",))
    assert await room.code_of(room.opening(session=session.id)) == ("not_allowed", 1000)


async def test_the_holder_too_comes_only_from_where_the_machine_lets_administrators_come_from(
    room: TerminalRoom,
) -> None:
    room.let_in("10.0.0.0/8")
    assert await room.code_of(room.opening()) == ("address_not_allowed", 1000)
    assert room.tunnels.streams == []
    room.let_in("127.0.0.0/8")
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
        room.let_in("10.0.0.0/8")
        attach = {"type": "attach", "terminal": terminal, "received": 0}
        assert await room.code_of(attach) == ("address_not_allowed", 1000)
        stream.say(b"the one who was let in keeps it")
        await page.shows("keeps it")
    assert await room.code_of(attach) == ("address_not_allowed", 1000)
    room.let_in("::ffff:127.0.0.1/128", "127.0.0.1/32")
    async with room.attached(terminal) as page:
        await page.shows("keeps it")


async def test_what_no_page_would_say_first_closes_the_socket(room: TerminalRoom) -> None:
    for frame in (
        "not json", '{"type":"resize","cols":80,"rows":24}', b"\x00", "[" * 400, '{"type":"open","session":true}',
        '{"type":"open","session":1,"cols":-1,"rows":24}', '{"type":"attach","terminal":"' + "x" * 600 + '"}',
    ):  # fmt: skip
        assert (await room.code_of(frame))[1] == 4400, frame
    assert room.tunnels.streams == []


async def test_a_page_that_says_nothing_is_not_waited_for(room: TerminalRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "GREETING_S", 0.05)
    async with room.socket() as page:
        assert await page.closed() == 4400


async def test_what_no_page_would_say_later_closes_the_socket_and_not_the_shell(room: TerminalRoom) -> None:
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
    for frame, code in (
        ("not json", 4400), ('{"type":"open","session":1,"cols":80,"rows":24}', 4400),
        ('{"type":"resize","cols":"80","rows":24}', 4400), ('{"type":"ping"}', 4400),
        (b"x" * 33000, 1009), (b"x" * 70000, 1009),
    ):  # fmt: skip
        async with room.attached(terminal) as page:
            await page.socket.send(frame)
            assert await page.closed() == code, frame
            assert stream.was_reset is None
    assert len(room.tunnels.streams) == 1


async def test_a_window_of_any_size_gets_the_nearest_that_a_terminal_can_have(room: TerminalRoom) -> None:
    async with room.socket() as page:
        await say(page, **room.opening(cols=2, rows=1))
        await page.until(lambda: page.heard)
        stream = room.tunnels.streams[-1]
        assert (stream.args["cols"], stream.args["rows"]) == (2, 1)
        for cols, rows in ((0, 0), (1, 1), (1280, 1001), (2**40, 1)):
            await say(page, type="resize", cols=cols, rows=rows)
        await until(lambda: len(stream.words) == 4)
        assert [word["resize"] for word in stream.words] == [[1, 1], [1, 1], [1000, 1000], [1000, 1]]


async def test_a_page_that_asks_whether_its_line_lives_is_answered_also_while_the_machine_takes_no_input(
    room: TerminalRoom,
) -> None:
    async with room.terminal() as (page, stream):
        stream.open.clear()
        window = page.ready["window"]
        for _ in range(window // page.ready["max_bytes"]):
            await page.socket.send(b"x" * page.ready["max_bytes"])
        await say(page, type="ping", n=7)
        await page.until(lambda: page.heard[-1] == {"type": "pong", "n": 7})
        stream.open.set()
        await page.until(lambda: page.heard[-1] == {"type": "passed", "bytes": window})
