"""/ws/dashboard over real sockets: who may open it, what it tells whom, how it ends, and what a frozen page costs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from db.records import MachineRow, UserRow
from hub.lifespan import utc_now
from hub.model import changes as c
from hub.model.credentials import new_secret
from hub.people.rules import TokenScope, create_token, end_sessions
from hub.server import transport, websocket_protocol
from hub.web import sockets
from hub.web.auth.state import AuthState
from hub.web.sockets import MAX_SOCKETS_PER_USER, TOO_MANY
from protocol import messages as m
from tests.support.browser_client import BrowserClient, cookie, origin
from tests.support.hub_people import MachineKey, wrong_end
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.raw_websocket import RawWebSocket, stop_reading
from tests.support.until import until

TCPI_BYTES_RECEIVED = 128
"""In struct tcp_info of Linux."""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path) as running:
        yield running


@pytest.fixture
async def lobby(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


async def upgrade_status(hub: HubHere, headers: dict[str, str]) -> int:
    """101 when the socket opens, else the HTTP status that refuses it."""
    try:
        async with websockets.connect(hub.websocket_url + "/ws/dashboard", additional_headers=headers, proxy=None):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_the_first_frames_are_a_greeting_and_the_picture(hub: HubHere, lobby: MachineKey) -> None:
    async with BrowserClient.open(hub) as page:
        assert page.machines[lobby.id]["name"] == "Lobby"
        assert page.machines[lobby.id]["connection"] == "never"
        assert page.epoch == hub.context.epoch


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        (ClientPerMessageDeflateFactory(client_max_window_bits=True), True),
        (ClientPerMessageDeflateFactory(server_max_window_bits=10), False),
    ],
)
async def test_a_browser_is_sent_pictures_and_long_news_compressed_with_nothing_kept_for_it(
    hub: HubHere, offer: ClientPerMessageDeflateFactory, agreed: bool
) -> None:
    for number in range(60):
        await hub.add_machine(f"Lobby {number}")
    options: dict[str, Any] = {"extensions": [offer]}
    async with BrowserClient.open(hub, **options) as page, BrowserClient.open(hub) as plain:
        assert page.socket.response is not None
        extensions = page.socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert ("server_no_context_takeover; client_no_context_takeover" in extensions) == agreed
        assert [m["name"] for m in page.machines.values()] == [m["name"] for m in plain.machines.values()]
        for capacity in (7, 8):
            changes = [c.Patch(MachineRow, rvm_id, {"capacity": capacity}) for rvm_id in list(page.machines)]
            await hub.context.announce(*changes)
            for one in (page, plain):
                await one.shows(partial(capacities_are, one, capacity))
        await page.say("ping", n=3)
        await page.until(lambda frame: frame["type"] == "pong")
        received = [received_bytes(one) for one in (page, plain)]
        assert (received[0] * 4 < received[1]) == agreed


def capacities_are(page: BrowserClient, capacity: int) -> bool:
    return {machine["capacity"] for machine in page.machines.values()} == {capacity}


def received_bytes(page: BrowserClient) -> int:
    """That the kernel passed on."""
    found = page.socket.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("=Q", found, TCPI_BYTES_RECEIVED)[0])


async def test_a_page_that_asks_whether_its_line_lives_is_answered_with_the_time(
    hub: HubHere, lobby: MachineKey
) -> None:
    async with BrowserClient.open(hub) as page:
        await page.say("ping", n=3)
        pong = await page.until(lambda frame: frame["type"] == "pong")
        assert pong["n"] == 3
        assert abs(pong["hub_time"] / 1000 - time.time()) < 60


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        (None, 403),
        ("http://127.0.0.1:1", 403),
        ("https://127.0.0.1:{port}", 403),
        ("http://sub.127.0.0.1:{port}", 403),
        ("http://127.0.0.1:{port}/path", 403),
        ("http://localhost:{port}", 403),
        ("http://127.0.0.1:{port}", 101),
    ],
)
async def test_a_cookie_counts_only_from_our_own_origin(hub: HubHere, said: str | None, status: int) -> None:
    headers = cookie(hub, hub.admin) | ({"Origin": said.format(port=hub.port)} if said else {})
    assert await upgrade_status(hub, headers) == status


async def test_the_page_too_many_is_closed_with_the_reason_and_comes_in_when_another_went(hub: HubHere) -> None:
    async with contextlib.AsyncExitStack() as pages:
        for _ in range(MAX_SOCKETS_PER_USER - 1):
            await pages.enter_async_context(BrowserClient.open(hub))
        async with BrowserClient.open(hub):
            async with websockets.connect(
                hub.websocket_url + "/ws/dashboard",
                additional_headers=cookie(hub, hub.admin) | {"Origin": hub.url},
                proxy=None,
            ) as one_too_many:
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await one_too_many.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, TOO_MANY)
        await until(lambda: len(hub.context.feed) == MAX_SOCKETS_PER_USER - 1)
        async with BrowserClient.open(hub):
            pass


async def test_a_program_shows_a_token_and_needs_no_origin(hub: HubHere) -> None:
    bearer = {"Authorization": f"Bearer {hub.admin.token}"}
    assert await upgrade_status(hub, bearer) == 101
    assert await upgrade_status(hub, bearer | {"Origin": "http://evil.example"}) == 403


async def test_nobody_a_machine_and_a_wrong_cookie_stay_outside(hub: HubHere, lobby: MachineKey) -> None:
    assert await upgrade_status(hub, {}) == 401
    assert await upgrade_status(hub, {"Authorization": f"Bearer {lobby.api_key}"}) == 403
    wrong = {"Cookie": "rvm_session=" + wrong_end(hub.admin.session), "Origin": hub.url}
    assert await upgrade_status(hub, wrong) == 401


async def test_a_machine_that_reports_is_seen_at_once(hub: HubHere, lobby: MachineKey) -> None:
    async with BrowserClient.open(hub) as page, MachineClient.connect(hub.websocket_url, lobby) as machine:
        await machine.say_hello()
        await page.shows(lambda: page.machines[lobby.id]["connection"] == "live")
        await machine.samples(41.5, seq=1, live=True)
        await page.shows(lambda: (page.machines[lobby.id]["readings"] or {}).get("cpu_usage") == 41.5)


async def test_watching_wakes_a_machine_and_leaving_lets_it_sleep(hub: HubHere, lobby: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, lobby) as machine:
        await machine.say_hello()
        async with BrowserClient.open(hub) as fleet_page:
            await fleet_page.say("watch", machine=None, rate=5)
            assert (await machine.hear(m.Live)).interval == 5
            async with BrowserClient.open(hub) as machine_page:
                await machine_page.say("watch", machine=lobby.id, rate=1)
                assert (await machine.hear(m.Live)).interval == 1
            assert (await machine.hear(m.Live)).interval == 5
            await fleet_page.say("pause")
            assert (await machine.hear(m.Live)).interval == 0


async def test_a_machine_that_comes_while_watched_learns_it_from_its_welcome(hub: HubHere, lobby: MachineKey) -> None:
    async with BrowserClient.open(hub) as page:
        await page.say("watch", machine=lobby.id, rate=1)
        await until(lambda: hub.context.watching.interval(lobby.id, asyncio.get_running_loop().time()) == 1)
        async with MachineClient.connect(hub.websocket_url, lobby) as machine:
            assert (await machine.say_hello()).live_interval == 1


async def test_a_technician_sees_and_wakes_only_the_own_machines(hub: HubHere, lobby: MachineKey) -> None:
    other = await hub.add_machine("Other")
    technician = await hub.people.add("technician", (lobby.id,))
    async with BrowserClient.open(hub, technician) as page, MachineClient.connect(hub.websocket_url, other) as machine:
        assert list(page.machines) == [lobby.id]
        await machine.say_hello()
        await page.say("watch", machine=other.id, rate=1)
        await page.say("watch", machine=None, rate=5)
        for n in range(50):
            await machine.samples(float(n), seq=n, live=True)
        async with hub.client() as client:
            await client.patch(f"/api/v2/rvms/{lobby.id}", json={"name": "Lobby 2"})
        await page.shows(lambda: page.machines[lobby.id]["name"] == "Lobby 2")
        assert list(page.machines) == [lobby.id]
        assert hub.context.watching.interval(other.id, asyncio.get_running_loop().time()) == 0


async def test_rights_that_change_hold_on_an_open_socket(hub: HubHere, lobby: MachineKey) -> None:
    other = await hub.add_machine("Other")
    technician = await hub.people.add("technician", (lobby.id,))
    async with BrowserClient.open(hub, technician) as page:
        async with hub.client() as client:
            answer = await client.patch(f"/api/v2/users/{technician.id}", json={"machines": [other.id]})
            assert answer.status_code == 200, answer.text
        await page.until(lambda frame: frame["type"] == "snapshot")
        assert list(page.machines) == [other.id]


async def test_a_tag_gives_a_machine_to_an_open_socket_and_takes_it_away_without_waiting_for_the_next_look(
    hub: HubHere, lobby: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RECHECK_S", 600.0)
    other = await hub.add_machine("Other")
    technician = await hub.people.add("technician", (lobby.id,))
    async with hub.client() as admin:
        answer = await admin.patch(f"/api/v2/users/{technician.id}", json={"tags": [" West  Jakarta"]})
        assert answer.status_code == 422, "spaces at its ends"
        answer = await admin.patch(f"/api/v2/users/{technician.id}", json={"tags": ["West  Jakarta"]})
        assert (answer.json()["data"]["tags"], answer.json()["data"]["reaches"]) == (["west jakarta"], [lobby.id])
        async with BrowserClient.open(hub, technician) as page:
            assert list(page.machines) == [lobby.id]
            for tags, seen in ((["west jakarta"], [lobby.id, other.id]), (["west"], [lobby.id])):
                await admin.patch(f"/api/v2/rvms/{other.id}", json={"tags": tags})
                await page.until(lambda frame: frame["type"] == "snapshot")
                assert list(page.machines) == seen
            added = await admin.post("/api/v2/rvms", json={"name": "New", "tags": ["west jakarta"]})
            await page.until(lambda frame: frame["type"] == "snapshot")
            assert list(page.machines) == [lobby.id, added.json()["data"]["id"]]


async def test_a_token_of_some_machines_sees_these_alone_and_follows_their_tags(
    hub: HubHere, lobby: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RECHECK_S", 600.0)
    other, secret = await hub.add_machine("Other"), new_secret("token")
    scope = TokenScope(machines=(lobby.id,), tags=("mall",))
    await hub.context.announce(*create_token(hub.admin.id, "x", secret, None, utc_now(), "system", scope))
    bearer = {"Authorization": f"Bearer {secret.text}"}
    address = hub.websocket_url + "/ws/dashboard"
    async with websockets.connect(address, additional_headers=bearer, proxy=None) as socket, hub.client() as admin:
        page = BrowserClient(socket)
        await page.until(lambda frame: frame["type"] == "snapshot")
        assert list(page.machines) == [lobby.id]
        for tags, seen in ((["mall"], [lobby.id, other.id]), ([], [lobby.id])):
            await admin.patch(f"/api/v2/rvms/{other.id}", json={"tags": tags})
            await page.until(lambda frame: frame["type"] == "snapshot")
            assert list(page.machines) == seen


async def test_a_session_that_ends_closes_its_socket_with_4401(hub: HubHere) -> None:
    viewer = await hub.people.add("viewer")
    async with BrowserClient.open(hub, viewer) as page:
        await hub.context.announce(end_sessions(viewer.id))
        hub.context[AuthState].credentials.drop_user(viewer.id)
        assert await page.closed() == 4401


@pytest.mark.parametrize(
    "edit", [{"password": "quite another phrase 9"}, {"disabled": True}, {"role": "operator"}, None]
)
async def test_a_remedy_closes_the_sockets_of_a_person_without_waiting_for_the_next_look(
    hub: HubHere, monkeypatch: pytest.MonkeyPatch, edit: dict[str, Any] | None
) -> None:
    """None: their token is revoked, which leaves the browser alone."""
    monkeypatch.setattr(sockets, "RECHECK_S", 600.0)
    viewer = await hub.people.add("viewer")
    bearer = {"Authorization": f"Bearer {viewer.token}"}
    program = websockets.connect(hub.websocket_url + "/ws/dashboard", additional_headers=bearer, proxy=None)
    async with BrowserClient.open(hub, viewer) as page, program as socket, hub.client() as admin:
        watching = BrowserClient(socket)
        await watching.next()
        if edit is None:
            (token,) = (await admin.get(f"/api/v2/tokens?user={viewer.id}")).json()["data"]
            assert (await admin.delete(f"/api/v2/tokens/{token['id']}")).status_code == 204
        else:
            assert (await admin.patch(f"/api/v2/users/{viewer.id}", json=edit)).status_code == 200
        assert await watching.closed() == 4401
        if edit is None:
            await page.say("snapshot")
            await page.until(lambda frame: frame["type"] == "snapshot")
        else:
            assert await page.closed() == 4401


async def test_a_revocation_in_the_database_alone_is_noticed_within_10_s(hub: HubHere) -> None:
    """By the command line, or another hub."""
    from hub.cli.data import open_data

    viewer = await hub.people.add("viewer")
    async with BrowserClient.open(hub, viewer) as page:
        async with open_data(hub.settings, create=False) as opened:
            await opened.commit(c.Patch(UserRow, viewer.id, {"disabled_at": utc_now()}))
        assert await page.closed() == 4401


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400),
        ('{"type":"reboot_everything"}', 4400),
        ('{"type":"watch","machine":"1; DROP","rate":1}', 4400),
        ('{"type":"watch","machine":1,"rate":1e400}', 4400),
        ("[" * 900, 4400),
        ('{"type":"watch","machine":1,"rate":1,"x":"' + "y" * 2000 + '"}', 4400),
        (b"\x00\x01", 1003),
        ("x" * 70_000, 1009),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_no_page_would_say_closes_the_socket(hub: HubHere, frame: Any, code: int) -> None:
    async with BrowserClient.open(hub) as page:
        await page.socket.send(frame)
        assert await page.closed() == code


async def test_a_page_that_never_stops_asking_is_closed(hub: HubHere) -> None:
    async with BrowserClient.open(hub) as page:
        for _ in range(10):
            await page.say("snapshot")
        assert await page.closed() == 1008


async def test_a_watch_of_a_machine_that_is_not_there_changes_nothing(hub: HubHere, lobby: MachineKey) -> None:
    async with BrowserClient.open(hub) as page:
        await page.say("watch", machine=999, rate=1)
        await page.say("snapshot")
        await page.until(lambda frame: frame["type"] == "snapshot")
        assert len(hub.context.watching._watches) == 0


async def test_a_frozen_page_is_cut_off_and_nobody_waits_for_it(
    hub: HubHere, lobby: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_protocol, "CLOSE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(transport, "CLOSING_STALLED_S", 0.2)
    monkeypatch.setattr(transport, "TICK_S", 0.05)
    frozen = await RawWebSocket.open(
        hub.port, "/ws/dashboard",
        headers=[*cookie(hub, hub.admin).items(), ("Origin", origin(hub))],
    )  # fmt: skip
    stop_reading(frozen.writer)
    await until(lambda: len(hub.context.feed) == 1)
    async with BrowserClient.open(hub) as page:
        event = c.EventHappened(
            at=utc_now(), code="machine.event", actor="system", rvm_id=lobby.id, params={"x": "y" * 20_000}
        )
        told = 0
        while len(hub.context.feed) == 2:
            hub.context.feed.publish([event], ())
            told += 1
            assert told < 2000
            await page.until(lambda frame: frame["type"] == "event")
        await until(lambda: len(hub.sockets) == 1)
    frozen.drop()


async def test_the_end_of_the_hub_is_sent_to_pages_and_machines(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        async with BrowserClient.open(hub) as page, MachineClient.connect(hub.websocket_url, key) as machine:
            await machine.say_hello()
            assert hub.server is not None
            hub.server.should_exit = True
            assert (await page.until(lambda frame: frame["type"] == "goodbye"))["reason"] == "restarting"
            least, most = (await machine.hear(m.Restarting)).reconnect_in
            assert 0 <= least < most
            assert await page.closed() == 1012
            assert await machine.closed() == 1012
