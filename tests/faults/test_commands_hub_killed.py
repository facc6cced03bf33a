"""kill -9 of the hub at every step of a command's life in it, on both databases: one end, one execution at most.

Steps of a command in the hub (tests.support.crash_points), in order:

    asked              the request came, nothing is written: there is no such command, unless it is asked for again
    recorded           committed, nothing left yet
    told               the command was handed to the network, that it left is not recorded
    accepted heard     the machine's first word came, not recorded
    running heard      the same of its second
    running recorded   that it runs is committed
    end heard          the machine's last word came, not committed
    end committed      committed, the machine does not know
    confirmed          the machine was told

Whoever asked asks again with the same Idempotency-Key, as a client does whose answer never came.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.crash_points import KILLED, Plan
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.ledger import open_ledger
from tests.support.living_machine import ARGUMENTS, LivingMachine, living_machine
from tests.support.orders import Operator, overdue_s
from tests.support.system_bus import needs_bus

pytestmark = needs_bus

ATOMIC = ("asked", "recorded", "told", "end heard", "end committed", "confirmed")
WORK = (*ATOMIC[:3], "accepted heard", "running heard", *ATOMIC[3:])
STEPS = {"set_status": ATOMIC, "restart_service": WORK, "reboot": (*WORK, "running recorded")}
HELD = "running recorded"
"""At this step the command waits for a return session: it runs until the test ends the session."""


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[ForkedHub]:
    async with forked_hub(tmp_path, database_url=database_url, device_frames_per_second=0) as running:
        yield running


@pytest.mark.timeout(300)
async def test_the_hub_is_killed_at_every_step(tmp_path: Path, hub: ForkedHub) -> None:
    asked: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as open_:
        client = await open_.enter_async_context(hub.client())
        operator = Operator(hub, client)
        machines = {
            name: await open_.enter_async_context(living_machine(tmp_path / name, hub.url, await hub.add_machine(name)))
            for name in STEPS
        }
        for name, steps in STEPS.items():
            for point in steps:
                asked[await killed_at(hub, operator, machines[name], name, point)] = name
        assert "Traceback" not in hub.log
    async with open_ledger(hub.settings.database_url) as ledger:
        states, ends, reasons = await ledger.commands(), await ledger.ends(), await ledger.reasons()
    assert dict(ends) == dict.fromkeys(states, 1)
    assert set(asked) <= set(states)
    declared = {reason: count for reason, count in reasons.items() if reason and reason.startswith("set_status ")}
    assert set(declared.values()) == {1}, "each status is declared once"


async def killed_at(hub: ForkedHub, operator: Operator, machine: LivingMachine, name: str, point: str) -> str:
    """The id of the command, which has ended as it should."""
    await machine.kill()  # a new agent has not learnt yet to be patient with a hub that dies all the time
    await operator.answers(machine.key)
    before, once, reason = machine.executions(name, ""), f"{name}-{point.replace(' ', '-')}", f"{name} {point}"
    if point == HELD:
        machine.session_file.touch()
    Plan(hub.settings.data_dir).set(point, name)
    asking = asyncio.ensure_future(operator.insist(machine.key, name, ARGUMENTS[name], once=once, reason=reason))
    assert await hub.ended() == KILLED, point
    await hub.start()
    machine.session_file.unlink(missing_ok=True)
    order = await asking
    end = await operator.end(order["id"])
    await operator.answers(machine.key)
    assert (end["state"], machine.executions(name, order["id"]) - before) == ("succeeded", 1), (point, end)
    assert overdue_s(end) < 0
    assert (await operator.end(order["id"]))["finished_at"] == end["finished_at"]
    return str(order["id"])


@pytest.mark.timeout(120)
async def test_what_waits_for_a_machine_that_is_away_waits_through_kills_and_is_done_once(
    tmp_path: Path, hub: ForkedHub
) -> None:
    key = await hub.add_machine("Lobby")
    async with hub.client() as client:
        operator = Operator(hub, client)
        orders = []
        for number in range(3):
            request = {"status": "maintenance", "capacity": 10 * number}
            orders.append(
                await operator.insist(key, "set_status", request, once=f"request-{number}", reason=f"request {number}")
            )
            await hub.kill()
            await hub.start()
        assert [order["state"] for order in orders] == ["queued"] * 3
        async with living_machine(tmp_path / "machine", hub.url, key) as machine:
            ends = [await operator.end(order["id"]) for order in orders]
            done = [machine.executions("set_status", order["id"]) for order in orders]
        await hub.end()
    states = [end["state"] for end in ends]
    assert states[-1] == "succeeded"
    assert set(states[:-1]) <= {"succeeded", "cancelled"}, "an older request may be replaced by a newer one"
    assert done == [int(state == "succeeded") for state in states]
