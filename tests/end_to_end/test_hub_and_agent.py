"""The main job, with nothing played: `run_hub.py` and `run_device.py --config`, watched, commanded, killed, read."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from hub.web.auth import origin
from tests.support.browser_client import BrowserClient
from tests.support.door_agent import DoorAgent, door_agent
from tests.support.door_hub import DoorHub, door_hub
from tests.support.hub_people import MachineKey, Person
from tests.support.hub_process import Hub
from tests.support.ledger import open_ledger
from tests.support.until import until_answered

SEEN_WITHIN_S = 30.0


class Operator:
    """A signed-in browser: pages by cookie, changes with the page's token."""

    def __init__(self, hub: DoorHub, browser: httpx.AsyncClient) -> None:
        self._hub, self._browser = hub, browser
        self.session = next(iter(browser.cookies.values()))
        self._proof = {origin.CSRF_HEADER: origin.new_csrf_token(self.session)}

    async def add_machine(self) -> MachineKey:
        answer = await self._browser.post("/api/v2/rvms", json={"name": "Lobby"}, headers=self._proof)
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        return MachineKey(data["id"], data["device_id"], data["api_key"])

    async def ask(self, key: MachineKey, status: str, reason: str) -> dict[str, Any]:
        wanted = {"status": status, "reason": reason}
        path = f"/api/v2/rvms/{key.id}/status"
        answer = await self._browser.patch(path, json=wanted, headers=self._proof)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"]["command"])

    async def get(self, path: str) -> Any:
        answer = await self._browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def watching(self) -> Any:
        """The feed, as this browser opens it."""
        place = SimpleNamespace(
            websocket_url=self._hub.url.replace("http", "ws", 1), url=self._hub.url,
            settings=SimpleNamespace(cookie_secure=False),
        )  # fmt: skip
        return BrowserClient.open(cast(Hub, place), Person(0, "", "", self.session))


async def see_it_live(page: BrowserClient, key: MachineKey) -> None:
    """Watched, its readings come about once a second and are this computer's own."""
    await page.say("watch", machine=key.id, rate=1)
    taken: list[int] = []

    def fresh() -> bool:
        readings = page.machines[key.id]["readings"]
        if readings and readings["taken_at"] not in taken:
            taken.append(readings["taken_at"])
            assert 0 < readings["memory_usage"] <= 100
            assert 0 < readings["disk_usage"] <= 100
        return len(taken) >= 4

    await page.shows(lambda: page.machines[key.id]["connection"] == "live", SEEN_WITHIN_S)
    await page.until(lambda _: fresh(), SEEN_WITHIN_S)
    assert taken[-1] - taken[0] < 10_000


async def see_status(page: BrowserClient, key: MachineKey, status: str, agent: DoorAgent) -> None:
    await page.shows(lambda: page.machines[key.id]["status"] == status, SEEN_WITHIN_S)
    assert agent.log.count(f"status is now {status}") >= 1


@pytest.mark.timeout(180)
async def test_an_operator_watches_commands_and_survives_the_loss_of_either_side(tmp_path: Path) -> None:
    async with door_hub(tmp_path / "data") as hub, hub.signed_in() as browser:
        operator = Operator(hub, browser)
        key = await operator.add_machine()
        async with door_agent(tmp_path / "agent", hub.url, key, metrics_interval=0.5) as agent:
            async with operator.watching() as page:
                await see_it_live(page, key)
                first = await operator.ask(key, "maintenance", "membersihkan sensor")
                await see_status(page, key, "maintenance", agent)
                assert page.machines[key.id]["status_reason"] == "membersihkan sensor"

                await agent.kill()
                await page.shows(lambda: page.machines[key.id]["connection"] == "offline", SEEN_WITHIN_S)
                waiting = await operator.ask(key, "active", "selesai")  # it waits for the machine
                await agent.start()
                await see_status(page, key, "active", agent)
                assert page.machines[key.id]["connection"] == "live"

            killed = time.time()
            await hub.end(signal.SIGKILL)
            await hub.start()
            async with operator.watching() as page:  # the same session: nobody has to sign in again
                assert page.machines[key.id]["status"] == "active"
                await see_it_live(page, key)
                last = await operator.ask(key, "maintenance", "lagi")
                await see_status(page, key, "maintenance", agent)
                ended = [await operator.get(f"/api/v2/commands/{c['id']}?wait=10") for c in (first, waiting, last)]
                await see_history(operator, key)
            for command in ended:
                assert command["state"] == "succeeded"
                assert agent.log.count(f"({command['id']}): succeeded") == 1
            assert await agent.stop() == 0
            assert await hub.end() == 0
        assert "Traceback" not in hub.written + agent.log
        async with open_ledger(f"sqlite:///{hub.data}/hub.sqlite3") as ledger:
            taken = await ledger.taken(key.id)
    around = sorted(seq for seq, at in taken.items() if abs(at - killed) < 3)
    assert len(around) > 4
    assert around == list(range(around[0], around[-1] + 1)), "the hub was away, and no sample is missing"


async def see_history(operator: Operator, key: MachineKey) -> None:
    """What was measured can be read again, in buckets, and none of it is from elsewhere."""
    points: list[dict[str, Any]] = []

    async def has_enough() -> bool:
        points[:] = (await operator.get(f"/api/v2/rvms/{key.id}/metrics?days=1&points=100"))["samples"]
        return bool(sum(point["count"] for point in points) >= 10)

    await until_answered(has_enough, SEEN_WITHIN_S)
    for point in points:
        least, most = point["min"]["memory_usage"], point["max"]["memory_usage"]
        assert 0 < least <= point["memory_usage"] <= most <= 100
