"""A terminal through /ws/terminal: bytes both ways, nothing lost or doubled by a drop, and each way it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from db.queries import recordings as rows
from hub.people.rules import end_sessions
from hub.remote.service import RemoteSessions
from hub.remote.terminal import terminal as terminal_module
from hub.remote.terminal.terminal import RING, Terminals
from hub.web.auth.state import AuthState
from tests.support.terminal_room import TerminalRoom, say, terminal_room
from tests.support.until import until, until_answered


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[TerminalRoom]:
    async with terminal_room(tmp_path) as made:
        yield made


async def test_keys_go_down_output_comes_up_and_the_end_has_the_exit_code(room: TerminalRoom) -> None:
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


async def test_what_happened_is_recorded_without_what_was_typed(room: TerminalRoom) -> None:
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


async def one_recording(room: TerminalRoom) -> dict[str, Any]:
    """The machine's only one, when it is in the object store."""
    store = room.hub.context.store

    async def stored() -> bool:
        return bool(await rows.in_state(store, "stored"))

    await until_answered(stored, every=0.02)
    async with room.hub.client() as client:
        (found,) = (await client.get(f"/api/v2/rvms/{room.machine.id}/remote-access/recordings")).json()["data"]
    return dict(found)


async def test_a_browser_that_comes_back_finds_the_same_shell_and_lost_nothing(room: TerminalRoom) -> None:
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


async def test_a_page_that_confirms_loses_nothing_however_much_was_on_its_way(room: TerminalRoom) -> None:
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
        await say(page, type="received", bytes=0)
        stream.say(b"x")
        await page.shows("x")
        for n in range(64):
            stream.say(bytes([65 + n % 26]) * 16384)
        await until(lambda: stream.taken >= RING)
        await until(lambda: len(room.hub.context[Terminals]) == 1)
    assert stream.taken <= RING + 16384, "more than a ring is not taken from the machine"
    async with room.socket() as page:
        await say(page, type="attach", terminal=terminal, received=1)
        page.output += b"x"
        await page.until(lambda: len(page.output) == 1 + 64 * 16384, within=30)
        assert bytes(page.output) == b"x" + b"".join(bytes([65 + n % 26]) * 16384 for n in range(64))


async def test_a_second_socket_of_the_holder_takes_the_terminal_over(room: TerminalRoom) -> None:
    async with room.terminal() as (first, stream), room.socket() as second:
        await say(second, type="attach", terminal=first.ready["terminal"], received=0)
        await second.until(lambda: second.heard)
        assert await first.closed() == 4409
        assert first.heard[-1]["code"] == "replaced"
        stream.say(b"here")
        await second.shows("here")


async def test_somebody_else_with_the_terminals_id_is_shut_out_and_ends_the_session(room: TerminalRoom) -> None:
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


async def test_the_end_of_the_session_ends_the_terminal_with_its_reason(room: TerminalRoom) -> None:
    async with room.terminal() as (page, stream):
        await room.hub.context[RemoteSessions].end(room.session.id, "timed_out")
        await page.closed()
        assert page.heard[-1] == {"type": "ended", "code": "timed_out"}
        assert stream.was_reset == "timed_out"


async def test_lost_rights_close_the_socket_within_5_s(room: TerminalRoom) -> None:
    async with room.terminal() as (page, stream):
        await room.hub.context.announce(end_sessions(room.hub.admin.id))
        room.hub.context[AuthState].credentials.drop_user(room.hub.admin.id)
        await page.closed()
        assert stream.was_reset is not None


async def test_a_terminal_whose_browser_stays_away_ends(room: TerminalRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "GONE_S", 0.05)
    async with room.terminal() as (page, stream):
        terminal = page.ready["terminal"]
    await until(lambda: stream.was_reset == "browser_gone")
    async with room.socket() as page:
        await say(page, type="attach", terminal=terminal, received=0)
        await page.closed()
        assert page.heard[-1] == {"type": "ended", "code": "browser_gone"}


async def test_the_page_can_end_the_shell_at_once(room: TerminalRoom) -> None:
    async with room.terminal() as (page, stream):
        await say(page, type="close")
        await page.closed()
        assert page.heard[-1]["code"] == "closed"
    await until(lambda: len(room.hub.context[Terminals]) == 0)
    assert stream.was_reset == "closed"


async def test_input_that_the_machine_does_not_take_waits_and_arrives_in_order(room: TerminalRoom) -> None:
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


async def test_who_comes_back_learns_how_much_of_the_input_arrived(room: TerminalRoom) -> None:
    """What waits for the machine counts: it goes there by itself. A socket that lost its seat types nothing."""
    async with room.terminal() as (first, stream):
        await first.type("abc")
        await first.until(lambda: first.heard[-1] == {"type": "passed", "bytes": 3})
        stream.open.clear()
        for _ in range(6):  # more than the window: the last ones wait in the socket
            await first.socket.send(b"x" * 30000)
        terminal = room.hub.context[Terminals].find(first.ready["terminal"])
        assert terminal is not None
        await until(lambda: terminal.typed == 3 + 90000)
        async with room.attached(terminal.id) as second:
            assert (second.ready["passed"], second.ready["typed"]) == (3, 3 + 90000)
            await until(lambda: not terminal.is_viewer(1))
            stream.open.set()
            await second.until(lambda: second.heard[-1] == {"type": "passed", "bytes": 90003})
            await second.type("d")
            await second.until(lambda: second.heard[-1] == {"type": "passed", "bytes": 90004})
            assert bytes(stream.typed) == b"abc" + b"x" * 90000 + b"d"
