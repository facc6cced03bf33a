"""kill -9 of the agent at every step of a command's life on the machine: one end, one execution at most, in time.

Steps of a command on the machine (tests.support.crash_points), in order, and what must become of it when the agent ends
there and is started again:

    received            heard from the wire, nothing on disk: the hub says it again, it runs
    accepted journaled  on disk, not said: the same
    accepted told       said, on the way to begin: the same, or the next but one
    running told        said, about to begin or begun: the same as that
    begun journaled     on disk, nothing done yet: not repeated, `interrupted`
    effect done         systemd or logind was asked: not repeated; a reboot that happened is a success
    end decided         about to be journaled: as before it
    end journaled       on disk, not said: said after the start
    end told            said, not confirmed: said again, confirmed
    confirmed           the hub's `received` came, not noted
    confirmation noted  everything is over
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.ledger import Ledger, open_ledger
from tests.support.living_machine import ARGUMENTS, LivingMachine, living_machine
from tests.support.orders import Operator, Order, overdue_s
from tests.support.system_bus import needs_bus
from tests.support.until import until

pytestmark = needs_bus

AT_ONCE = 6
LATEST_S = 5.0
"""After the deadline, by promise."""
SHORT_S = 6.0
"""The deadline of a command whose agent does not come back."""
ATOMIC = {
    "received": ("succeeded", 1),
    "end decided": ("succeeded", 1),
    "end journaled": ("succeeded", 1),
    "end told": ("succeeded", 1),
    "confirmed": ("succeeded", 1),
    "confirmation noted": ("succeeded", 1),
}
WORK = {
    "received": ("succeeded", 1),
    "accepted journaled": ("succeeded", 1),
    "accepted told": None,
    "running told": None,
    "begun journaled": ("failed", 0),
    "effect done": ("failed", 1),
    "end decided": ("failed", 1),
    "end journaled": ("succeeded", 1),
    "end told": ("succeeded", 1),
    "confirmed": ("succeeded", 1),
    "confirmation noted": ("succeeded", 1),
}
STEPS: dict[str, dict[str, tuple[str, int] | None]] = {
    "set_status": {**ATOMIC},
    "restart_service": WORK,
    # The machine goes down between the effect and the end: the next boot answers.
    "reboot": {**WORK, "effect done": ("succeeded", 1), "end decided": ("succeeded", 1)},
}
AWAY = [("restart_service", point) for point in WORK] + [("reboot", "effect done"), ("set_status", "end journaled")]
SAID = ("end told", "confirmed", "confirmation noted")


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[ForkedHub]:
    async with forked_hub(tmp_path, device_frames_per_second=0) as running:
        yield running


async def killed_at(machine: LivingMachine, operator: Operator, name: str, point: str) -> Order:
    """The command that was under way when the agent ended at that step."""
    machine.plan.set(point)
    order = await operator.insist(machine.key, name, ARGUMENTS[name], once=f"{name} {point}".replace(" ", "-"))
    await until(lambda: not machine.plan.pending, 20)
    return order


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", list(STEPS))
async def test_the_agent_is_killed_at_every_step_and_comes_back(tmp_path: Path, hub: ForkedHub, name: str) -> None:
    key = await hub.add_machine(name)
    async with hub.client() as client, living_machine(tmp_path / "machine", hub.url, key) as machine:
        operator = Operator(hub, client)
        await operator.answers(key)
        for lives, (point, wanted) in enumerate(STEPS[name].items(), start=2):
            before = machine.executions(name, "")
            order = await killed_at(machine, operator, name, point)
            end = await operator.end(order["id"])
            await until(lambda: machine.lives >= lives, 20)
            await operator.answers(key)
            done = machine.executions(name, order["id"]) - before
            assert wanted in (None, (end["state"], done)), (point, end, done)
            assert done <= 1, point
            assert (end["state"], done) == ("succeeded", 1) or end["error"]["code"] == "interrupted", (point, end)
            assert overdue_s(end) < 0
            assert (await operator.end(order["id"]))["finished_at"] == end["finished_at"]
    async with open_ledger(hub.settings.database_url) as ledger:
        await ended_once(ledger)


@pytest.mark.timeout(240)
async def test_the_agent_is_killed_at_every_step_and_stays_away_until_all_is_over(
    tmp_path: Path, hub: ForkedHub
) -> None:
    """The clock settles it; what the machine says when it is back at last changes nothing, and is on record."""
    await hub.kill()
    (hub.settings.data_dir / "test-patience").write_text(str(SHORT_S))
    await hub.start()
    turns, late = asyncio.Semaphore(AT_ONCE), set[str]()

    async def each(name: str, point: str) -> None:
        key = await hub.add_machine(f"{name} {point}")
        async with turns, hub.client() as client, living_machine(tmp_path / f"m{key.id}", hub.url, key) as machine:
            operator = Operator(hub, client)
            await operator.answers(key)
            machine.comes_back = False
            order = await killed_at(machine, operator, name, point)
            end = await operator.end(order["id"], SHORT_S + LATEST_S + 5)
            assert end["state"] == ("succeeded" if point in SAID else "expired"), (point, end)
            assert overdue_s(end) <= LATEST_S
            machine.comes_back = True
            await operator.answers(key)
            assert (await operator.end(order["id"]))["finished_at"] == end["finished_at"]
            assert machine.executions(name, order["id"]) <= 1
            if point == "end journaled":
                late.add(order["id"])

    await asyncio.gather(*(each(*case) for case in AWAY))
    async with open_ledger(hub.settings.database_url) as ledger:
        await ended_once(ledger)
        assert late <= await ledger.late()


async def ended_once(ledger: Ledger) -> None:
    states, ends = await ledger.commands(), await ledger.ends()
    assert dict(ends) == dict.fromkeys(states, 1)
