"""When a board is worth a report, and that one reaches the hub: at once on each link, seldom for what never stands
still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from device.system_monitor.board_watch import SELDOM_S, is_news
from protocol import messages as m
from protocol.board import Board, BoardDisk, BoardFan, BoardRail, BoardSensor, BoardThrottle
from protocol.limits import BOARD_INTERVAL_S
from tests.device import board_trees
from tests.device.agent_process import running_agent
from tests.support.fake_hub import FakeHub, fake_hub

BEFORE = Board(
    rails=[BoardRail(name="VDD_IN", watts=5.0)],
    sensors=[BoardSensor(name="cpu", celsius=50.0), BoardSensor(name="cv0", reason="offline")],
    throttling=[BoardThrottle(name="cpu-throttle-alert", active=False), BoardThrottle(name="oc3", events=1)],
    fans=[BoardFan(name="pwmfan", percent=30.0, rpm=2000.0)],
    disks=[BoardDisk(name="mmcblk0", kind="emmc", worn=80.0)],
    power_mode="15W",
    gpu_memory_bytes=1000,
)
MOVING = msgspec.structs.replace(
    BEFORE, rails=[BoardRail(name="VDD_IN", watts=9.0)],
    sensors=[BoardSensor(name="cpu", celsius=61.0), *BEFORE.sensors[1:]],
    fans=[BoardFan(name="pwmfan", percent=90.0, rpm=5000.0)], gpu_memory_bytes=2000,
)  # fmt: skip
LASTING = [
    msgspec.structs.replace(BEFORE, power_mode="MAXN"),
    msgspec.structs.replace(BEFORE, throttling=[BoardThrottle(name="cpu-throttle-alert", active=True)]),
    msgspec.structs.replace(BEFORE, throttling=[BoardThrottle(name="oc3", events=2)]),
    msgspec.structs.replace(BEFORE, disks=[BoardDisk(name="mmcblk0", kind="emmc", worn=90.0)]),
    msgspec.structs.replace(BEFORE, sensors=[BoardSensor(name="cpu", reason="offline")]),
    msgspec.structs.replace(BEFORE, rails=[BoardRail(name="VDD_IN", reason="unreadable")]),
    msgspec.structs.replace(BEFORE, reasons={"jetpack": "not_reported"}),
]


def test_the_first_report_of_a_link_is_always_news() -> None:
    assert is_news(None, BEFORE, 0.0, watched=False)


@pytest.mark.parametrize("seen", LASTING)
def test_a_change_that_lasts_is_news_after_a_minute(seen: Board) -> None:
    assert not is_news(BEFORE, seen, BOARD_INTERVAL_S - 1, watched=True)
    assert is_news(BEFORE, seen, BOARD_INTERVAL_S, watched=False)


def test_figures_that_never_stand_still_are_news_seldom_or_while_somebody_watches() -> None:
    assert not is_news(BEFORE, MOVING, BOARD_INTERVAL_S, watched=False)
    assert is_news(BEFORE, MOVING, BOARD_INTERVAL_S, watched=True)
    assert is_news(BEFORE, MOVING, SELDOM_S, watched=False)
    assert not is_news(BEFORE, BEFORE, 10 * SELDOM_S, watched=True)


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


async def test_an_agent_reports_its_board_on_every_link(hub: FakeHub, tmp_path: Path) -> None:
    root = board_trees.make("orin_nano_jetpack6", tmp_path / "root")
    async with running_agent(tmp_path, hub.url, sensor_root=str(root)) as agent:
        await hub.until(lambda: hub.boards)
        assert hub.boards == [board_trees.expected("orin_nano_jetpack6")]
        await agent.kill()
        await agent.start()
        await hub.until(lambda: len(hub.boards) == 2)


async def test_an_older_hub_gets_no_more_reports_and_the_link_stays(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        link = await hub.connected()
        await hub.until(lambda: hub.boards)
        await link.say(m.Error(code="unsupported", message="unknown type 'board'", ref="type"))
        command = hub.command("ping")
        await link.say(command)
        assert (await hub.answer(command)).state == "succeeded"
        assert len(hub.boards) == 1
        assert "unsupported" in agent.log


async def test_a_machine_that_measures_nothing_reports_no_board(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url, monitoring_enabled=False):
        link = await hub.connected()
        command = hub.command("ping")
        await link.say(command)
        await hub.answer(command)
        await asyncio.sleep(0)
        assert hub.boards == []
