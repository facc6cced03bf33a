"""Two holders of one key over real sockets: kept out, told when, and let in again; one that flaps is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
import websockets

from db.records import MachineRow
from hub.links import rules
from hub.links.links import Links
from hub.model.changes import Patch
from protocol import codec
from protocol import messages as m
from protocol.version import SUBPROTOCOL
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.raw_websocket import TEXT, RawWebSocket, frame
from tests.support.until import until


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, device_frames_per_second=0) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takeovers as often as one likes."""
    monkeypatch.setattr(rules, "APART_S", 0.0)


async def refusal(hub: HubHere, key: MachineKey) -> Any:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with MachineClient.connect(hub.websocket_url, key):
            pass
    return refused.value.response


async def fight(hub: HubHere, key: MachineKey, rounds: int) -> list[int]:
    """Two machines take the link from each other; the close code of each link."""
    codes: list[int] = []
    async with contextlib.AsyncExitStack() as stack:
        held = await stack.enter_async_context(MachineClient.connect(hub.websocket_url, key))
        await held.say_hello(boot_id="boot-0")
        for number in range(1, rounds + 1):
            newer = await stack.enter_async_context(MachineClient.connect(hub.websocket_url, key))
            await newer.say_hello(boot_id=f"boot-{number % 2}")
            codes.append(await held.closed())
            held = newer
        codes.append(await held.closed() if rounds >= 3 else 0)
    return codes


async def events(hub: HubHere, code: str) -> list[dict[str, Any]]:
    async with hub.client() as admin:
        found: list[dict[str, Any]] = (await admin.get("/api/v2/events", params={"code": code})).json()["data"]
        return found


async def test_the_third_takeover_in_a_minute_quarantines_both_and_is_shown_to_the_operator(
    hub: HubHere, key: MachineKey, hasty: None
) -> None:
    assert await fight(hub, key, 3) == [4409, 4409, 4409, 4409]
    answer = await refusal(hub, key)
    assert answer.status_code == 429
    assert 290 <= int(answer.headers["Retry-After"]) <= 300
    assert "Two machines use this key" in json.loads(answer.body)["message"]
    (event,) = await events(hub, "machine.quarantined")
    assert (event["actor"], event["rvm_id"], event["params"]["takeovers"]) == ("clock", key.id, 3)
    assert event["params"]["addresses"] == ["127.0.0.1"]
    async with hub.client() as admin:
        shown = (await admin.get(f"/api/v2/rvms/{key.id}")).json()["data"]
        assert shown["quarantined_until"] is not None
        assert (shown["connection"], shown["connection_reason"]) == ("offline", "quarantined"), "at once"
        assert (await admin.post(f"/api/v2/rvms/{key.id}/commands", json={"name": "ping"})).status_code == 409


async def test_a_key_in_the_first_frame_is_quarantined_as_well(hub: HubHere, key: MachineKey, hasty: None) -> None:
    await fight(hub, key, 3)
    async with websockets.connect(
        hub.websocket_url + "/ws/device", proxy=None, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)]
    ) as socket:
        await MachineClient(socket, key, authenticated=False).say(m.Auth(token=key.api_key))
        assert json.loads(await socket.recv())["code"] == "quarantined"
        await asyncio.wait_for(socket.wait_closed(), 60)
        assert socket.close_code == 1013


async def test_an_operator_lets_it_in_again(hub: HubHere, key: MachineKey, hasty: None) -> None:
    await fight(hub, key, 3)
    async with hub.client() as admin:
        released = await admin.post(f"/api/v2/rvms/{key.id}/release")
        assert (released.status_code, released.json()["data"]["quarantined_until"]) == (200, None)
        assert released.json()["data"]["connection_reason"] != "quarantined"
        assert (await admin.post(f"/api/v2/rvms/{key.id}/release")).status_code == 409
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
    assert [event["actor"].partition(":")[0] for event in await events(hub, "machine.released")] == ["user"]


async def test_a_new_key_lets_its_holder_in_and_nobody_else(hub: HubHere, key: MachineKey, hasty: None) -> None:
    await fight(hub, key, 3)
    async with hub.client() as admin:
        made: httpx.Response = await admin.post(f"/api/v2/rvms/{key.id}/key")
        assert (await admin.get(f"/api/v2/rvms/{key.id}")).json()["data"]["quarantined_until"] is None
    async with MachineClient.connect(
        hub.websocket_url, key._replace(api_key=made.json()["data"]["api_key"])
    ) as machine:
        await machine.say_hello()
    assert (await refusal(hub, key)).status_code == 401


async def test_a_quarantine_survives_a_restart_of_the_hub_and_ends_by_time(tmp_path: Path, database_url: str) -> None:
    async with hub_here(tmp_path, database_url=database_url) as hub:
        key = await hub.add_machine("Lobby")
        now = hub.context.clock()
        await hub.context.announce(
            Patch(MachineRow, key.id, {"quarantined_until": now + timedelta(seconds=300), "updated_at": now})
        )
    async with hub_here(tmp_path / "again", database_url=database_url) as hub:
        assert (await refusal(hub, key)).status_code == 429
        machine = hub.context.fleet.machines[key.id]
        machine.row = msgspec.structs.replace(machine.row, quarantined_until=hub.context.clock())
        await until(lambda: machine.row.quarantined_until is None)
        async with MachineClient.connect(hub.websocket_url, key) as client:
            await client.say_hello()
        assert [event["actor"] for event in await events(hub, "machine.released")] == ["clock"]


async def test_a_takeover_a_second_at_most(hub: HubHere, key: MachineKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "APART_S", 30.0)
    async with contextlib.AsyncExitStack() as stack:
        first, waiting, second = [
            await stack.enter_async_context(MachineClient.connect(hub.websocket_url, key)) for _ in range(3)
        ]
        await first.say_hello()
        await second.say_hello()
        assert await first.closed() == 4409
        answer = await refusal(hub, key)
        assert answer.status_code == 429
        assert 28 <= int(answer.headers["Retry-After"]) <= 30
        await waiting.say(introduction(key))
        assert await waiting.closed() == 1013, "one that came before the takeover and speaks after it"
        await second.samples(1.0, seq=1)
        await second.hear(m.MetricsAck)
    await until(lambda: hub.context[Links].get(key.id) is None)
    async with MachineClient.connect(hub.websocket_url, key) as third:
        await third.say_hello()


def introduction(key: MachineKey) -> m.Hello:
    return m.Hello(
        protocol=2, device_id=key.device_id, agent_version="1", boot_id="b", capabilities=[], status="active",
        config_version=0, time="2026-11-23T13:00:00Z",
    )  # fmt: skip


@pytest.mark.parametrize("reset", [False, True], ids=["silent", "reset"])
async def test_one_machine_whose_network_flaps_is_never_quarantined(
    hub: HubHere, key: MachineKey, hasty: None, monkeypatch: pytest.MonkeyPatch, reset: bool
) -> None:
    """Each of its older links is dead: nobody answers the hub's close, or a computer that forgot the connection."""
    monkeypatch.setattr("hub.links.socket.CLOSE_TIMEOUT_S", 0.05)
    headers = [("Authorization", f"Bearer {key.api_key}")]
    links, older = hub.context[Links], None
    for number in range(6):
        machine = await RawWebSocket.open(hub.port, "/ws/device", headers=headers)
        await machine.send(frame(TEXT, codec.encode(introduction(key)).encode()))
        assert (await machine.receive()).opcode == TEXT
        if older is not None:
            assert await older.until_close() == 4409
            if reset:
                older.drop()
        await until(lambda: len(links._open) == 1)
        assert links.takeovers == number
        older = machine
    assert hub.context.fleet.machines[key.id].row.quarantined_until is None
    assert await events(hub, "machine.quarantined") == []
