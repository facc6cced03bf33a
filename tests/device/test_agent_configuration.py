"""The real agent and a pushed configuration: in force without a restart, answered on every link, kept over a kill."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from protocol import messages as m
from tests.device.agent_process import ROOT, AgentProcess, running_agent
from tests.support.fake_hub import FakeHub, fake_hub
from tests.support.fake_rest import fake_rest
from tests.support.until import until


def in_force(agent: AgentProcess) -> dict[str, Any]:
    """What `run_device.py settings` says beside the running agent."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RVM_")}
    asked = [sys.executable, "-m", "device", "settings", "--json", "--config", str(agent.config)]
    done = subprocess.run(asked, cwd=ROOT, env=environ, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


async def test_the_interval_changes_without_a_restart_and_survives_one(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url, metrics_interval=3600) as agent:
        link = await hub.connected()
        assert link.hello is not None
        assert link.hello.config_version == 0
        await hub.until(lambda: len(hub.kept) == 1)
        answer = await hub.configure(7, metrics_interval=0.1, confidence_threshold=0.8)
        assert (answer.version, answer.errors) == (7, None)
        await hub.until(lambda: len(hub.kept) >= 5)
        assert len(hub.links) == 1, "no reconnect was needed"
        await agent.kill()
        seen = len(hub.kept)
        await agent.start()
        again = await hub.connected(2)
        assert again.hello is not None
        assert again.hello.config_version == 7
        await hub.until(lambda: len(hub.kept) >= seen + 5)
        assert [link.of(m.ConfigApplied)[-1].version for link in hub.links] == [7, 7], "every link is answered"


async def test_pages_are_named_by_the_hub_over_the_machines_file(hub: FakeHub, tmp_path: Path) -> None:
    def names(count: int) -> Any:
        hello = hub.links[count - 1].hello
        assert hello is not None
        assert hello.hardware is not None
        return hello.hardware["remote"]["names"]

    async with running_agent(tmp_path, hub.url, remote_page_names={"5000": "Camera"}) as agent:
        await hub.connected()
        assert names(1) == {"5000": "Camera"}
        wrong = await hub.configure(1, remote_page_names=["Kamera pintu"])
        assert (wrong.errors or {})["remote_page_names"].startswith("wrong_page_names")
        assert (wrong.own or {})["remote_page_names"] == ["5000 Camera"]
        assert (await hub.configure(2, remote_page_names=["5000 Kamera pintu"])).errors is None
        assert in_force(agent)["remote_page_names"] == {"value": ["5000 Kamera pintu"], "origin": "hub"}
        await agent.kill()
        await agent.start()
        await hub.connected(2)
        assert names(2) == {"5000": "Kamera pintu"}


async def test_a_machine_that_is_offline_starts_with_what_the_hub_sent_last(tmp_path: Path) -> None:
    async with fake_hub() as hub, running_agent(tmp_path, hub.url, metrics_interval=3600) as agent:
        await hub.connected()
        await hub.configure(7, metrics_interval=0.1)
        await agent.stop()
        await hub.stop()
        await agent.start()
        await until(lambda: "configuration 7" in agent.log.split("stopping")[-1])
        await asyncio.sleep(1.5)  # fifteen intervals
        await hub.start()
        await hub.until(lambda: len(hub.kept) >= 10)


async def test_a_damaged_cache_stops_nothing(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        await hub.configure(7, metrics_interval=0.1)
        await agent.kill()
        (tmp_path / "machine.json.state" / "configuration").write_bytes(b"\x00" * 100)
        await agent.start()
        link = await hub.connected(2)
        assert link.hello is not None
        assert link.hello.config_version == 0
        await hub.until(lambda: link.of(m.ConfigApplied))
        assert [(answer.version, answer.errors) for answer in link.of(m.ConfigApplied)] == [(7, None)]


async def test_a_pin_from_the_hub_leaves_the_rest_of_the_file_effective(hub: FakeHub, tmp_path: Path) -> None:
    url = "http://10.0.0.5/json?key=SECRET"
    async with running_agent(tmp_path, hub.url, metrics_interval=0.1, timezone_api_url=url) as agent:
        link = await hub.connected()
        await hub.until(lambda: hub.applied)
        own = {
            "metrics_interval": 0.1, "timezone_api_url": "http://10.0.0.5/json?...", "auto_sync_enabled": False,
        }  # fmt: skip
        assert hub.applied == [m.ConfigApplied(version=0, own=own)], "also before anybody wrote anything"
        assert await hub.configure(1, pinned_timezone="Asia/Makassar") == m.ConfigApplied(version=1, own=own)
        seen = len(hub.kept)
        await hub.until(lambda: len(hub.kept) >= seen + 5)
        said = in_force(agent)
        assert said["timezone_api_url"] == {"value": url, "origin": "file"}
        assert said["metrics_interval"] == {"value": 0.1, "origin": "file"}
        assert said["pinned_timezone"] == {"value": "Asia/Makassar", "origin": "hub"}
        await hub.configure(2, pinned_timezone="Asia/Makassar", metrics_interval=3600, timezone_api_url="http://x/json")
        assert in_force(agent)["metrics_interval"] == {"value": 3600.0, "origin": "hub"}
        assert (await hub.configure(3)).own == own
        seen = len(hub.kept)
        await hub.until(lambda: len(hub.kept) >= seen + 5)
        said = in_force(agent)
        assert said["timezone_api_url"] == {"value": url, "origin": "file"}, "inherited again: the file's, at once"
        assert said["pinned_timezone"] == {"value": "", "origin": "default"}
        assert (agent.lives, link) == (1, hub.link), "without a restart or another link"


async def test_the_environment_comes_first_and_says_so(hub: FakeHub, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, hub.url)
    agent.environ = {"RVM_METRICS_INTERVAL": "3600"}
    await agent.start()
    try:
        await hub.connected()
        await hub.until(lambda: len(hub.kept) == 1)
        answer = await hub.configure(3, metrics_interval=0.1, cpu_threshold=70)
        assert answer.errors is not None
        assert list(answer.errors) == ["metrics_interval"]
        assert answer.errors["metrics_interval"].startswith("environment: ")
        assert "RVM_METRICS_INTERVAL" in answer.errors["metrics_interval"]
        assert answer.own == {"metrics_interval": 3600.0, "auto_sync_enabled": False}
        await asyncio.sleep(0.5)  # five of the intervals that must not be in force
        assert len(hub.kept) == 1
    finally:
        await agent.kill()


async def test_monitoring_goes_off_and_on(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url, metrics_interval=0.1, monitoring_enabled=False):
        await hub.connected()
        await hub.configure(1, monitoring_enabled=True, metrics_interval=0.1)
        await hub.until(lambda: len(hub.kept) >= 3)
        await hub.configure(2, monitoring_enabled=False, metrics_interval=0.1)
        ping = hub.command("ping")
        await hub.link.say(ping)
        await hub.answer(ping)  # what was on its way came before
        seen = len(hub.kept)
        await asyncio.sleep(0.5)  # five intervals in which nothing may come but what was being measured
        assert len(hub.kept) <= seen + 1


async def test_a_configuration_for_a_machine_that_only_gets_http_through_is_the_cached_one(tmp_path: Path) -> None:
    async with fake_hub() as hub, running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        await hub.configure(5, metrics_interval=0.1, upload_interval=0.2)
        await agent.stop()
    with fake_rest() as rest:
        async with running_agent(tmp_path, rest.url, retry_delay=0.1, upload_interval=3600):
            await until(lambda: len(rest.kept) >= 10)


async def test_no_push_changes_what_only_the_owner_decides(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        answer = await hub.configure(1, state_dir="/tmp/elsewhere", services=["sshd.service"], allow_plain_http=True)
        assert answer.errors is not None
        assert {error.partition(":")[0] for error in answer.errors.values()} == {"static_key"}
        await agent.kill()
        await agent.start()
        await hub.connected(2)
