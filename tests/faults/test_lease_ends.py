"""A lease ends in every way there is, with real processes, and each time the machine is again what it was before.

What it was is not always "in service": half of the tests begin on a machine an operator had taken out of service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess
from tests.support.remote_machine import RemoteMachine, remote_machine
from tests.support.remote_operator import RemoteOperator, Session
from tests.support.until import until

GRACE_S = 60.0
"""How long a lease outlives the machine's link."""
BACK_S = 60.0
IN_SERVICE: dict[str, Any] = {"status": "active"}
OUT_OF_SERVICE: dict[str, Any] = {"status": "full", "special_status": "inactive", "reason": "belum disewa"}


class Scene(NamedTuple):
    """A machine in a lease."""

    hub: HubProcess
    network: ChaosProxy
    machine: RemoteMachine
    operator: RemoteOperator
    key: MachineKey
    before: dict[str, Any]
    session: Session

    async def as_before(self, end_reason: str, within: float = BACK_S) -> Session:
        """The lease ended for that reason, once, and the machine is what it was."""
        ended = await self.operator.ended(self.key, self.session["id"], within)
        assert ended["end_reason"] == end_reason, ended
        # After a new link the status comes with the first words, and its reason with the report after them.
        await self.operator.machine(self.key, self._is_as_before, BACK_S)
        ends = [e for e in await self.operator.events("remote.ended") if e["params"]["session_id"] == ended["id"]]
        assert [e["params"]["reason"] for e in ends] == [end_reason], "one line of the record for one end"
        assert "Traceback" not in self.hub.log + self.machine.log
        return ended

    def _is_as_before(self, shown: dict[str, Any]) -> bool:
        known = {"connection": "live", "special_status": None, **self.before}
        if "reason" in known:
            known["status_reason"] = known.pop("reason")
        return all(shown[name] == value for name, value in known.items())


@contextlib.asynccontextmanager
async def leased(folder: Path, before: dict[str, Any], **request: Any) -> AsyncIterator[Scene]:
    """In maintenance by a lease, with a terminal's shell running for as long as the test has not ended it."""
    async with forked_hub(folder) as hub, chaos_proxy(hub.port) as network:
        key = await hub.add_machine("Lobby")
        operator = RemoteOperator(hub, await hub.people.add("operator"))
        async with remote_machine(folder / "machine", network.url, key) as machine:
            await operator.present(key)
            if before is not IN_SERVICE:
                answer = await operator.ask("PATCH", f"/rvms/{key.id}/status?wait=20", before)
                assert answer.status_code == 200, answer.text
                await operator.machine(key, lambda m: m["special_status"] == before["special_status"])
            session = await operator.lease(key, reason="kamera gelap", **request)
            shown = await operator.machine(key, lambda m: m["special_status"] == "maintenance")
            assert "kamera gelap" in shown["status_reason"]
            yield Scene(hub, network, machine, operator, key, before, session)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("before", [IN_SERVICE, OUT_OF_SERVICE], ids=["in service", "out of service"])
async def test_stopped(tmp_path: Path, before: dict[str, Any]) -> None:
    async with leased(tmp_path, before) as scene, scene.operator.terminal(scene.session["id"]) as terminal:
        await terminal.type("echo $((6*7))\r")
        await terminal.shows(r"\b42\b")
        await scene.operator.stop(scene.key, reason="session_completed")
        ended = await scene.as_before("stopped")
        assert ended["ended_by"] == f"user:{scene.operator.person.id}"
        assert await terminal.closed() != 1006, "the page is told"
        assert await scene.operator.refusal(scene.key, allow=["everything"]) != (201, "")


@pytest.mark.timeout(180)
async def test_timed_out(tmp_path: Path) -> None:
    async with leased(tmp_path, OUT_OF_SERVICE, duration=4) as scene:
        ended = await scene.as_before("timed_out")
        assert ended["ended_by"] in ("clock", f"machine:{scene.key.id}"), "both keep their own clock; one is first"


@pytest.mark.timeout(300)
async def test_timed_out_by_the_machines_own_clock_while_the_hub_is_away(tmp_path: Path) -> None:
    """The hub can tell nobody: the machine gives back what was when its own time is over, and says so later."""
    async with leased(tmp_path, IN_SERVICE, duration=6) as scene:
        await scene.hub.kill()
        await until(lambda: "timed_out" in scene.machine.log or "status is now active" in scene.machine.log, 40)
        await scene.hub.start()
        ended = await scene.operator.ended(scene.key, scene.session["id"], BACK_S)
        await scene.as_before(ended["end_reason"])
        assert ended["end_reason"] in ("hub_restarted", "timed_out"), "whoever came first with it"


@pytest.mark.timeout(300)
async def test_the_link_is_lost_for_longer_than_the_grace(tmp_path: Path) -> None:
    """Both ends know at once that the link is broken, and nothing comes through for more than a minute."""
    async with leased(tmp_path, OUT_OF_SERVICE) as scene:
        loop = asyncio.get_running_loop()
        scene.network.stall()
        scene.network.reset()
        lost = loop.time()
        ended = await scene.operator.ended(scene.key, scene.session["id"], GRACE_S + BACK_S)
        assert ended["end_reason"] == "link_lost"
        assert loop.time() - lost > GRACE_S * 0.8, "a drop is no end"
        scene.network.flow()
        await scene.as_before("link_lost")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("before", [IN_SERVICE, OUT_OF_SERVICE], ids=["in service", "out of service"])
async def test_the_hub_is_killed(tmp_path: Path, before: dict[str, Any]) -> None:
    async with leased(tmp_path, before) as scene:
        await scene.hub.kill()
        await scene.hub.start()
        await scene.as_before("hub_restarted")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("before", [IN_SERVICE, OUT_OF_SERVICE], ids=["in service", "out of service"])
async def test_the_agent_is_killed(tmp_path: Path, before: dict[str, Any]) -> None:
    async with leased(tmp_path, before) as scene:
        await scene.machine.kill()
        await scene.machine.start()
        await scene.as_before("agent_restarted")


@pytest.mark.timeout(240)
async def test_the_agent_is_asked_to_end(tmp_path: Path) -> None:
    """An update of the agent, for example: its next life says how the lease ended."""
    async with leased(tmp_path, OUT_OF_SERVICE) as scene:
        await scene.machine.stop(seconds=20)
        await scene.machine.start()
        await scene.as_before("agent_restarted")


@pytest.mark.timeout(240)
async def test_the_machine_reboots(tmp_path: Path) -> None:
    async with leased(tmp_path, IN_SERVICE) as scene:
        await scene.machine.kill()
        scene.machine.boot()
        await scene.machine.start()
        await scene.as_before("machine_rebooted")


@pytest.mark.timeout(240)
async def test_hub_and_agent_are_killed_together(tmp_path: Path) -> None:
    async with leased(tmp_path, OUT_OF_SERVICE) as scene:
        await scene.hub.kill()
        await scene.machine.kill()
        await scene.hub.start()
        await scene.machine.start()
        await scene.as_before("hub_restarted")


@pytest.mark.timeout(240)
async def test_what_somebody_declares_during_a_remote_session_is_not_undone_by_its_end(tmp_path: Path) -> None:
    async with leased(tmp_path, IN_SERVICE) as scene:
        request = {"status": "error", "special_status": "error", "reason": "sabuk putus"}
        answer = await scene.operator.ask("PATCH", f"/rvms/{scene.key.id}/status?wait=20", request)
        assert answer.status_code == 200, answer.text
        await scene.operator.machine(scene.key, lambda m: m["special_status"] == "error")
        await scene.operator.stop(scene.key)
        await scene.operator.ended(scene.key, scene.session["id"])
        await until(lambda: scene.machine.log.count("succeeded") >= 2, 20)
        shown = await scene.operator.machine(scene.key, lambda m: m["connection"] == "live")
        assert (shown["special_status"], shown["status_reason"]) == ("error", "sabuk putus")
