"""/ws/dashboard?of=ID over real sockets: a page of one machine, whose viewer may see it, lose it, or never had it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import websockets

from hub.kernel.feed import BRIEF
from hub.web.sockets import OF_WHAT
from tests.support.browser_client import BrowserClient, cookie
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path) as running:
        yield running


def cpu(page: BrowserClient, rvm_id: int) -> float | None:
    reading: float | None = (page.machines[rvm_id].get("readings") or {}).get("cpu_usage")
    return reading


async def test_a_machine_that_reports_is_seen_on_its_page_and_its_state_on_every_other(hub: HubHere) -> None:
    lobby, other = await hub.add_machine("Lobby"), await hub.add_machine("Other")
    async with BrowserClient.open(hub, of=lobby.id) as own, BrowserClient.open(hub, of=other.id) as foreign:
        assert own.machines[other.id].keys() == foreign.machines[lobby.id].keys() == set(BRIEF)
        async with MachineClient.connect(hub.websocket_url, lobby) as machine:
            await machine.say_hello()
            await foreign.shows(lambda: foreign.machines[lobby.id].get("connection") == "live")
            await machine.samples(41.5, seq=1, live=True)
            await own.shows(lambda: cpu(own, lobby.id) == 41.5)
        async with hub.client() as admin:
            await admin.patch(f"/api/v2/rvms/{lobby.id}", json={"name": "Lobby 2"})
        await foreign.shows(partial(is_called, foreign, lobby.id, "Lobby 2"))
        assert cpu(foreign, lobby.id) is None


async def test_rights_that_change_hold_on_the_page_of_a_machine(hub: HubHere) -> None:
    lobby, other = await hub.add_machine("Lobby"), await hub.add_machine("Other")
    technician = await hub.people.add("technician", (lobby.id,))
    async with (
        BrowserClient.open(hub, technician, of=lobby.id) as own,
        BrowserClient.open(hub, technician, of=other.id) as foreign,
        hub.client() as admin,
    ):
        for page in (own, foreign):
            assert list(page.machines) == [lobby.id]
        answer = await admin.patch(f"/api/v2/users/{technician.id}", json={"machines": [other.id]})
        assert answer.status_code == 200, answer.text
        for page in (own, foreign):
            await page.until(lambda frame: frame["type"] == "snapshot")
            assert list(page.machines) == [other.id]
        assert foreign.machines[other.id].keys() > set(BRIEF)
        async with MachineClient.connect(hub.websocket_url, lobby) as machine:
            await machine.say_hello()
            for n in range(100):
                await machine.samples(float(n), seq=n, live=True)
            await admin.patch(f"/api/v2/rvms/{other.id}", json={"name": "Other 2"})
            for page in (own, foreign):
                await page.shows(partial(is_called, page, other.id, "Other 2"))
                assert list(page.machines) == [other.id]


def is_called(page: BrowserClient, rvm_id: int, name: str) -> bool:
    return bool(page.machines[rvm_id]["name"] == name)


@pytest.mark.parametrize("of", ["", "all", "-1", "1.5", "9" * 30])
async def test_what_is_no_number_of_a_machine_is_refused_with_what_to_write(hub: HubHere, of: str) -> None:
    address = f"{hub.websocket_url}/ws/dashboard?of={of}"
    for headers, status, why in (
        (cookie(hub, hub.admin) | {"Origin": hub.url}, 400, OF_WHAT),
        ({}, 401, ""),
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(address, additional_headers=headers, proxy=None):
                pass
        assert refused.value.response.status_code == status
        assert (refused.value.response.body or b"").decode() == why


async def test_the_page_of_a_machine_that_nobody_has_shows_the_others(hub: HubHere) -> None:
    lobby = await hub.add_machine("Lobby")
    async with BrowserClient.open(hub, of=lobby.id + 1) as page:
        assert page.machines[lobby.id].keys() == set(BRIEF)
