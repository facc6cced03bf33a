"""kill -9 of the real agent under load, twenty times: no confirmed sample lost, no command done twice, back in time."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from device.journal.keeper import Journal
from device.journal.rules import Memory
from device.samples.spool import SampleSpool
from protocol import messages as m
from tests.device.agent_process import AgentProcess
from tests.support.fake_hub import FakeHub, FakeLink, fake_hub

KILLS = 20
BACK_WITHIN_S = 10.0


def numbers_on_disk(folder: Path) -> set[int]:
    """What a dead agent's spool holds, found without changing it."""
    from device.samples.spool_files import Segment

    found: set[int] = set()
    for path in (folder / "machine.json.state" / "spool").glob("*.spool"):
        segment = Segment.opened(path)
        found |= {record.seq for record in segment.scan()} if segment else set()
    return found


def _has_samples(link: FakeLink, frames: int) -> bool:
    return sum(isinstance(said, m.Metrics) for said in link.heard) >= frames


@pytest.mark.timeout(240)
async def test_twenty_kills_lose_no_sample_and_repeat_no_command(tmp_path: Path) -> None:
    dice = random.Random(3)
    async with fake_hub() as hub:
        agent = AgentProcess(tmp_path, hub.url, metrics_interval=0.05)
        confirmed: set[int] = set()
        asked: list[m.Command] = []
        done_by: dict[str, int] = {}
        hub.on_message = _acknowledge_now_and_then(hub, dice)
        for life in range(1, KILLS + 1):
            await agent.start()
            link = await hub.connected(life, BACK_WITHIN_S)
            assert link.hello is not None
            # A new request, and the old ones again as if the hub had not heard of their end.
            asked.append(hub.command("set_status", {"status": dice.choice(["full", "active", "error"])}))
            for command in (*asked[-3:], asked[-1]):
                await link.say(command)
            await hub.until(partial(_has_samples, link, dice.randrange(1, 5)))
            await agent.kill()
            confirmed |= numbers_on_disk(tmp_path)
            for command in asked:
                done_by[command.id] = agent.log.count(f"({command.id}): succeeded")
        hub.on_message = None
        hub.acknowledges = True
        await agent.start()
        boot = (await hub.connected(KILLS + 1, BACK_WITHIN_S)).hello.boot_id  # type: ignore[union-attr]
        for command in asked:
            await hub.link.say(command)
        await hub.until(lambda: all(hub.updates.get(command.id) for command in asked))
        await hub.until(lambda: confirmed <= {seq for b, seq in hub.kept if b == boot}, 30)
        await agent.stop()
    assert max(agent.log.count(f"({command.id}): succeeded") for command in asked) == 1
    assert all({u.state for u in hub.updates[command.id]} == {"succeeded"} for command in asked)
    assert "damaged" not in agent.log
    assert _final_state(tmp_path) in ("full", "active", "error")
    spool = SampleSpool(tmp_path / "machine.json.state" / "spool", boot)
    assert spool.last_seq >= max(confirmed)


def _acknowledge_now_and_then(hub: FakeHub, dice: random.Random) -> Any:
    """Acknowledge about half of the frames, so that every life begins with a backlog."""

    def after(link: FakeLink, message: Any) -> None:
        hub.acknowledges = dice.random() < 0.5

    return after


def _final_state(folder: Path) -> str:
    memory = Memory()
    for fact in Journal(folder / "machine.json.state" / "journal").load():
        memory.apply(fact)
    return memory.state.status


@pytest.mark.timeout(120)
async def test_a_command_is_never_done_twice_wherever_the_kill_falls(tmp_path: Path) -> None:
    """The kill comes at a random moment after the command was said: before, while or after it is journaled."""
    dice = random.Random(5)
    async with fake_hub() as hub:
        agent = AgentProcess(tmp_path, hub.url)
        for life in range(1, 11):
            await agent.start()
            link = await hub.connected(life)
            command = hub.command("set_status", {"status": "full", "reason": f"life {life}"})
            await link.say(command)
            await asyncio.sleep(dice.uniform(0, 0.02))  # the moment of the kill is the test's dice, not a wait
            await agent.kill()
            facts = Journal(tmp_path / "machine.json.state" / "journal").load()
            times = sum(fact.answered is not None and fact.answered.id == command.id for fact in facts)
            reasons = sum(fact.state is not None and fact.state.reason == f"life {life}" for fact in facts)
            assert times == reasons <= 1, "id and effect are one fact"
