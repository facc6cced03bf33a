"""The agent as a process against a hub: introduction, samples, commands, goodbyes, and a hub that comes and goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from protocol import messages as m
from tests.device.agent_process import AgentProcess, running_agent
from tests.support.fake_hub import KEY, FakeHub, fake_hub

COMMANDS = [
    "extend_remote_access", "ping", "reboot", "renew_key", "restart_service", "restore_backup", "set_status",
    "start_backup", "start_remote_access", "stop_remote_access", "sync_timezone", "verify_backup",
]  # fmt: skip


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        yield running


async def test_the_agent_introduces_itself_and_sends_a_first_sample_at_once(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        assert link.hello is not None
        assert link.hello.device_id == "rvm-1"
        assert link.hello.capabilities == [*COMMANDS, "until"]
        assert link.hello.hardware is not None
        assert link.hello.hardware["memory_bytes"] > 0
        await hub.until(lambda: hub.kept)
        (sample,) = hub.kept.values()
        assert sample.cpu_usage is not None
        assert sample.memory_usage is not None


async def test_live_samples_flow_only_while_somebody_watches(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        await hub.until(lambda: hub.kept)
        assert hub.live == []
        await link.say(m.Live(interval=0.1))
        await hub.until(lambda: len(hub.live) >= 5)
        await link.say(m.Live(interval=0))
        command = hub.command("ping")
        await link.say(command)
        await hub.answer(command)
        seen = len(hub.live)
        await asyncio.sleep(0.5)  # five intervals in which nothing may come
        assert len(hub.live) - seen <= 1
        assert len(hub.kept) == 1, "a live sample is never kept"


async def test_set_status_is_confirmed_and_outlives_the_process(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        link = await hub.connected()
        wanted = {"status": "maintenance", "special_status": "maintenance", "reason": "belt", "capacity": 40}
        command = hub.command("set_status", wanted)
        await link.say(command)
        assert (await hub.answer(command)).state == "succeeded"
        await agent.kill()
        await agent.start()
        hello = (await hub.connected(2)).hello
        assert hello is not None
        assert (hello.status, hello.special_status, hello.capacity) == ("maintenance", "maintenance", 40)


async def test_a_command_delivered_three_times_and_after_a_kill_runs_once(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        first, second = hub.command("set_status", {"status": "full"}), hub.command("set_status", {"status": "active"})
        link = await hub.connected()
        for command in (first, second, first, first):
            await link.say(command)
        await hub.answer(first, count=3)
        await agent.kill()
        await agent.start()
        link = await hub.connected(2)
        assert link.hello is not None
        assert link.hello.status == "active", "the repeated id did not run again"
        await link.say(first)
        assert (await hub.answer(first, count=4)).state == "succeeded"
        assert agent.log.count(f"({first.id}): succeeded") == 1


async def test_what_cannot_be_done_is_rejected_with_its_reason(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        wrong = [
            (hub.command("make_coffee"), "unsupported"),
            (hub.command("start_backup", {}), "invalid"),
            (hub.command("reboot", {"delay": 3601}), "invalid"),
            (hub.command("restart_service", {"service": "ssh"}), "not_allowed"),
            (hub.command("set_status", {"status": "active", "capacity": 100}), "still_full"),
            (hub.command("set_status", {"status": "asleep"}), "invalid"),
            (hub.command("set_status", {"status": "full"}, lasts_s=-1), "expired"),
        ]
        for command, code in wrong:
            await link.say(command)
            update = await hub.answer(command)
            assert (update.state, update.error and update.error.code) == ("rejected", code)


async def test_a_clock_a_day_off_expires_no_fresh_command(hub: FakeHub, tmp_path: Path) -> None:
    hub.clock_ahead = timedelta(days=-1)
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        command = hub.command("ping", lasts_s=30)
        await link.say(command)
        assert (await hub.answer(command)).state == "succeeded"


async def test_a_result_is_sent_again_until_it_is_received(hub: FakeHub, tmp_path: Path) -> None:
    hub.confirms = False
    async with running_agent(tmp_path, hub.url) as agent:
        command = hub.command("ping")
        await (await hub.connected()).say(command)
        await hub.answer(command)
        await agent.kill()
        await agent.start()
        hub.confirms = True
        await hub.connected(2)
        await hub.answer(command, count=2)
        await agent.stop()
        await agent.start()
        probe = hub.command("ping")
        await (await hub.connected(3)).say(probe)
        await hub.answer(probe)
        assert len(hub.updates[command.id]) == 2, "what was received is not said again"


async def test_unknown_members_and_types_change_nothing(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        await link.socket.send('{"type":"weather","sun":true}')
        await link.socket.send('{"type":"live","interval":0.1,"colour":"red"}')
        await hub.until(lambda: hub.live)
        (error,) = link.of(m.Error)
        assert error.code == "unsupported"
        assert len(hub.links) == 1


async def test_the_agent_says_goodbye_and_ends_in_time(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.until(lambda: hub.kept)
        assert await agent.stop(signal.SIGTERM) == 0
        await hub.until(lambda: hub.goodbyes)
        assert [bye.reason for bye in hub.goodbyes] == ["shutdown"]
        await agent.start()
        await hub.connected(2)
        assert await agent.stop(signal.SIGINT) == 130


async def test_the_agent_ends_with_its_parent(hub: FakeHub, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, hub.url)
    await agent.start("--exit-with-parent", stdin=asyncio.subprocess.PIPE)
    try:
        await hub.connected()
        assert agent.process is not None
        assert agent.process.stdin is not None
        agent.process.stdin.close()
        assert await asyncio.wait_for(agent.process.wait(), 60) == 0
    finally:
        await agent.kill()


async def test_samples_of_an_outage_arrive_complete_and_once(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url, metrics_interval=0.05):
        await hub.connected()
        await hub.until(lambda: len(hub.kept) >= 3)
        await hub.stop()
        await asyncio.sleep(2.0)  # an outage of forty samples
        await hub.start()
        await hub.until(lambda: len(hub.kept) >= 50)
        numbers = sorted(seq for _, seq in hub.kept)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        frames = [frame for frame in hub.link.of(m.Metrics) if not frame.live]
        assert max(len(frame.samples) for frame in frames) > 10, "a backlog travels in batches"


async def test_a_restarting_hub_is_obeyed(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        link = await hub.connected()
        loop = asyncio.get_running_loop()
        told = loop.time()
        await link.say(m.Restarting(reconnect_in=(1.5, 2.0)))
        await link.socket.close(1012)
        await hub.connected(2)
        assert loop.time() - told >= 1.4
        assert "restarts" in agent.log


async def test_a_refused_key_is_retried_slowly_and_never_shown(hub: FakeHub, tmp_path: Path) -> None:
    hub.refuse_with = 401
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.until(lambda: hub.requests)
        await asyncio.sleep(2.0)  # in which a hasty agent would try again
        assert len(hub.requests) == 1
        assert agent.process is not None
        assert agent.process.returncode is None
        assert "api_token" in agent.log
        assert KEY not in agent.log


@pytest.mark.parametrize("code", [4409, 4403, 4426])
async def test_a_replaced_agent_does_not_take_its_link_back(hub: FakeHub, tmp_path: Path, code: int) -> None:
    async with running_agent(tmp_path, hub.url):
        link = await hub.connected()
        await link.socket.close(code)
        await asyncio.sleep(2.0)  # in which a fighter would be back
        assert len(hub.links) == 1


async def test_two_agents_never_share_a_state_folder(hub: FakeHub, tmp_path: Path) -> None:
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        second = AgentProcess(tmp_path, hub.url)
        await second.start()
        assert second.process is not None
        assert await asyncio.wait_for(second.process.wait(), 60) == 8
        assert "another agent" in agent.log


async def test_the_agent_listens_on_no_port(hub: FakeHub, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    async with running_agent(tmp_path, hub.url) as agent:
        await hub.connected()
        connections = psutil.Process(agent.pid).net_connections(kind="inet")
        assert [c for c in connections if c.status in ("LISTEN", "NONE")] == []
