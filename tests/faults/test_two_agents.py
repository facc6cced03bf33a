"""Two real agents with one key: the newest speaks for the machine and alone is commanded; who fights is kept out."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.link.rules import End, Kind, RetryPolicy
from hub.links import rules as link_rules
from protocol.errors import CloseCode
from protocol.limits import CONTESTED_TAKEOVERS, TAKEOVER_WINDOW_S
from tests.support.door_agent import DoorAgent, door_agent
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess
from tests.support.orders import Operator
from tests.support.until import until

WATCHED_S = 8.0


def links(hub: HubProcess) -> int:
    return len(re.findall(r"machine \d+: linked from", hub.log))


@pytest.mark.timeout(90)
async def test_the_newest_agent_wins_and_alone_is_commanded_without_a_conflict(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, hub.client() as admin:
        key = await hub.add_machine("Lobby")
        async with door_agent(tmp_path / "older", hub.url, key) as older:
            await until(lambda: links(hub) == 1, 20)
            async with door_agent(tmp_path / "newer", hub.url, key) as newer:
                await until(lambda: links(hub) == 2, 20)
                began = time.monotonic()
                await until(lambda: "another connection of this machine took over" in older.log)
                asked = []
                for status in ("maintenance", "active", "maintenance"):
                    path = f"/api/v2/rvms/{key.id}/status?wait=10"
                    answer = await admin.patch(path, json={"status": status, "reason": "two agents"})
                    asked.append(answer.json()["data"]["command"])
                assert [command["state"] for command in asked] == ["succeeded"] * 3
                for command in asked:
                    assert newer.log.count(f"({command['id']}): succeeded") == 1
                    assert command["id"] not in older.log
                await until(lambda: time.monotonic() - began > WATCHED_S)
                assert links(hub) <= 2 + WATCHED_S, "more than one takeover a second"
                assert links(hub) == 2, "the loser waits half a minute before it tries again"
                await newer.stop()
        assert "Traceback" not in hub.log


@given(st.lists(st.floats(0, 1), min_size=20, max_size=20), st.floats(0, 30))
def test_two_polite_agents_are_found_within_three_minutes_however_long_they_wait(
    dice: list[float], connecting_s: float
) -> None:
    """The agents' own policy against the hub's own rule, in no time."""
    drawn = iter(dice)
    policies = [RetryPolicy(2.0, partial(next, drawn)) for _ in range(2)]
    seen, now, live_s = link_rules.Takeovers(), 0.0, 3600.0
    for turn in range(10):
        if link_rules.contested(seen, "10.0.0.1", "10.0.0.2", now):
            break
        replaced = End(Kind.CLOSED, "replaced", int(CloseCode.REPLACED), live_s=live_s)
        live_s = policies[turn % 2].after(replaced, live_s) + connecting_s
        now += live_s
    assert len(seen.fights) == CONTESTED_TAKEOVERS
    assert now <= TAKEOVER_WINDOW_S


@pytest.mark.timeout(300)
async def test_two_agents_left_alone_are_both_quarantined_and_reported(tmp_path: Path) -> None:
    """A cloned card: nobody restarts anything, each agent waits as it does in the field."""
    async with forked_hub(tmp_path) as hub, hub.client() as admin:
        key = await hub.add_machine("Lobby")
        path = f"/api/v2/rvms/{key.id}"
        async with door_agent(tmp_path / "one", hub.url, key) as one:
            await until(lambda: links(hub) == 1, 20)
            began = time.monotonic()
            async with door_agent(tmp_path / "two", hub.url, key) as two:
                await until(lambda: "quarantined" in one.log + two.log or links(hub) > CONTESTED_TAKEOVERS, 200)
                (event,) = await quarantines(admin, key)
                assert time.monotonic() - began <= TAKEOVER_WINDOW_S
                assert event["params"]["takeovers"] == CONTESTED_TAKEOVERS
                shown = (await admin.get(path)).json()["data"]
                assert shown["quarantined_until"] is not None
                assert shown["connection"] == "offline"
        assert "Traceback" not in hub.log


@pytest.mark.timeout(90)
async def test_agents_in_conflict_are_quarantined_until_an_operator_lets_one_in(tmp_path: Path) -> None:
    """Whoever lost is started again at once, as an impatient supervisor does."""
    async with forked_hub(tmp_path) as hub, hub.client() as admin:
        operator, key = Operator(hub, admin), await hub.add_machine("Lobby")
        path = f"/api/v2/rvms/{key.id}"
        async with door_agent(tmp_path / "one", hub.url, key) as one:
            await until(lambda: links(hub) == 1, 20)
            async with door_agent(tmp_path / "two", hub.url, key) as two:
                for count, loser in ((2, one), (3, two), (4, one)):
                    await until(partial(linked, hub, count), 20)
                    await until(partial(has_lost, loser, count // 2))
                    if count < 4:
                        await loser.kill()
                        await loser.start()
                (event,) = await quarantines(admin, key)
                assert (await admin.get(path)).json()["data"]["quarantined_until"] is not None
                assert event["params"]["takeovers"] == 3
                await one.kill()
                await one.start()
                await until(lambda: "429" in one.log, 20)
                assert links(hub) == 4, "both are kept out"
                assert (await admin.post(f"{path}/release")).status_code == 200
                await two.kill()
                await one.kill()
                await one.start()
                await operator.answers(key)
        assert "Traceback" not in hub.log


async def quarantines(admin: httpx.AsyncClient, key: MachineKey) -> list[dict[str, Any]]:
    """As the operator reads it, waiting for the first."""
    ends = time.monotonic() + 10
    while True:
        answer = await admin.get("/api/v2/events", params={"rvm": str(key.id), "code": "machine.quarantined"})
        found: list[dict[str, Any]] = answer.json()["data"]
        if found:
            return found
        assert time.monotonic() < ends, "nobody stops the fight"


def linked(hub: HubProcess, count: int) -> bool:
    return links(hub) == count


def has_lost(agent: DoorAgent, times: int) -> bool:
    return agent.log.count("another connection of this machine took over") >= times
