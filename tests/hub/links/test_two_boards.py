"""Two boards with one key over real sockets: a swap goes on, a copy is kept out, a strict fleet decides first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from hub.links import rules
from hub.links.links import Links
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until

BOARDS: list[dict[str, Any]] = [
    {"board_serial": serial, "machine_id": "a" * 64, "model": "Orin NX", "hostname": f"rvm-{serial}"}
    for serial in ("1424", "1599")
]


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HubHere]:
    monkeypatch.setattr(rules, "APART_S", 0.0)  # takeovers as often as one likes
    async with hub_here(tmp_path, database_url=database_url, device_frames_per_second=0) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


@asynccontextmanager
async def board(hub: HubHere, key: MachineKey, number: int, *, known: bool = True) -> AsyncIterator[MachineClient]:
    """`known`: its hello is stored."""
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(hardware=BOARDS[number], boot_id=f"boot-{number}")
        if known:
            await until(lambda: hub.context.fleet.machines[key.id].row.boot_id == f"boot-{number}")
        yield machine


async def kept_out(hub: HubHere, key: MachineKey, number: int, close: int) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        said = {"hardware": BOARDS[number], "boot_id": f"boot-{number}"}
        with pytest.raises(ConnectionClosed):  # instead of a welcome
            await machine.say_hello(**said)
        assert await machine.closed() == close


async def of(hub: HubHere, key: MachineKey) -> dict[str, Any]:
    async with hub.client() as admin:
        found: dict[str, Any] = (await admin.get(f"/api/v2/rvms/{key.id}")).json()["data"]
    return found


async def decide(hub: HubHere, key: MachineKey, verdict: str) -> httpx.Response:
    async with hub.client() as admin:
        answer = await admin.post(f"/api/v2/rvms/{key.id}/board/{verdict}")
    assert answer.status_code == 200, answer.text
    return answer


async def strict(hub: HubHere) -> None:
    async with hub.client() as admin:
        answer = await admin.patch("/api/v2/config", json={"new_board_approval": True})
        assert answer.status_code == 200, answer.text


async def codes(hub: HubHere, key: MachineKey) -> list[str]:
    async with hub.client() as admin:
        rows = (await admin.get(f"/api/v2/rvms/{key.id}/events")).json()["data"]
    return [row["code"].partition(".")[2] for row in rows if row["code"].startswith("machine.board")]


async def test_a_swapped_board_goes_on_at_once_and_somebody_is_asked(hub: HubHere, key: MachineKey) -> None:
    async with board(hub, key, 0):
        pass
    await until(lambda: hub.context[Links].get(key.id) is None)
    async with board(hub, key, 1) as swapped:
        await swapped.samples(5.0, seq=1)
        await swapped.hear(m.MetricsAck)
        row = await of(hub, key)
        assert (row["connection"], row["board_question"]) == ("live", "connected")
        await decide(hub, key, "accept")
        await swapped.samples(5.0, seq=2)
        await swapped.hear(m.MetricsAck)
    assert (await of(hub, key))["board_question"] is None


async def test_of_two_boards_at_once_the_first_goes_on_and_the_copy_is_kept_out(hub: HubHere, key: MachineKey) -> None:
    async with board(hub, key, 0) as first:
        async with board(hub, key, 1, known=False) as copy:
            assert await first.closed() == 4409
            assert await copy.closed() == 4403
        async with board(hub, key, 0) as again:
            await kept_out(hub, key, 1, 4403)
            await kept_out(hub, key, 1, 4403)
            await again.samples(5.0, seq=1)
            await again.hear(m.MetricsAck)
            row = await of(hub, key)
            assert (row["board_question"], row["connection"], row["quarantined_until"]) == ("copy", "live", None)
            told = await codes(hub, key)
            assert told in (["board_cloned", "board_changed"], ["board_cloned"]), "it does not flap, and is told once"
            await decide(hub, key, "refuse")
            await again.samples(5.0, seq=2)
            await again.hear(m.MetricsAck)
        await kept_out(hub, key, 1, 4403)


async def test_the_copy_may_be_the_machine_and_the_other_is_out_then(hub: HubHere, key: MachineKey) -> None:
    async with board(hub, key, 0) as first:
        async with board(hub, key, 1, known=False) as copy:
            await asyncio.gather(first.closed(), copy.closed())
        async with board(hub, key, 0) as again:
            await decide(hub, key, "accept")
            assert await again.closed() == 4403
        async with board(hub, key, 1) as accepted:
            await kept_out(hub, key, 0, 4403)
            await accepted.samples(5.0, seq=1)
            await accepted.hear(m.MetricsAck)
    assert (await of(hub, key))["board_question"] is None


async def test_in_a_strict_fleet_a_different_board_waits_and_disturbs_nobody(hub: HubHere, key: MachineKey) -> None:
    await strict(hub)
    async with board(hub, key, 0) as first:
        await kept_out(hub, key, 1, 1013)
        await kept_out(hub, key, 1, 1013)
        row = await of(hub, key)
        assert (row["connection"], row["board_question"]) == ("live", "waits")
        assert await codes(hub, key) == ["board_held"]
        await first.samples(5.0, seq=1)
        await first.hear(m.MetricsAck)
        await decide(hub, key, "refuse")
        await first.samples(5.0, seq=2)
        await first.hear(m.MetricsAck)
    await kept_out(hub, key, 1, 4403)


async def another_waits(hub: HubHere, key: MachineKey) -> None:
    await strict(hub)
    async with board(hub, key, 0):
        pass
    await kept_out(hub, key, 1, 1013)


async def test_what_waits_comes_in_once_it_is_accepted_with_its_history(hub: HubHere, key: MachineKey) -> None:
    await another_waits(hub, key)
    async with hub.client() as admin:
        before = (await admin.get(f"/api/v2/rvms/{key.id}/status-history")).json()
    await decide(hub, key, "accept")
    async with board(hub, key, 1):
        row = await of(hub, key)
        assert (row["connection"], row["board_question"], row["id"]) == ("live", None, key.id)
        async with hub.client() as admin:
            assert (await admin.get(f"/api/v2/rvms/{key.id}/status-history")).json() == before
    await kept_out(hub, key, 0, 1013)


async def test_when_approval_is_asked_for_no_longer_what_waited_is_let_in(hub: HubHere, key: MachineKey) -> None:
    await another_waits(hub, key)
    async with hub.client() as admin:
        assert (await admin.patch("/api/v2/config", json={"new_board_approval": False})).status_code == 200
    async with board(hub, key, 1) as other:
        await other.samples(5.0, seq=1)
        await other.hear(m.MetricsAck)
        assert (await of(hub, key))["board_question"] == "connected"
