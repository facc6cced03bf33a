"""Who may use a lease, while it is open: its holder and nobody else, and not a moment longer than they may.

Bars 55 and 58: 20 sessions a person, 2 a machine; whoever loses their rights loses the session within 5 s.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import websockets

from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey, Person
from tests.support.hub_process import HubProcess
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator, Session, TerminalClient
from tests.support.tunnel_client import LeasedMachine, leased_machine

REVOKED_WITHIN_S = 5.0
Revocation = Callable[[RemoteOperator, Person, MachineKey], Awaitable[None]]


async def disabled(admin: RemoteOperator, holder: Person, key: MachineKey) -> None:
    answer = await admin.ask("PATCH", f"/users/{holder.id}", {"disabled": True})
    assert answer.status_code == 200, answer.text


async def made_a_viewer(admin: RemoteOperator, holder: Person, key: MachineKey) -> None:
    answer = await admin.ask("PATCH", f"/users/{holder.id}", {"role": "viewer"})
    assert answer.status_code == 200, answer.text


async def machine_taken_away(admin: RemoteOperator, holder: Person, key: MachineKey) -> None:
    answer = await admin.ask("PATCH", f"/users/{holder.id}", {"machines": []})
    assert answer.status_code == 200, answer.text


@contextlib.asynccontextmanager
async def held(
    hub: HubProcess, folder: Path, role: str
) -> AsyncIterator[tuple[RemoteOperator, MachineKey, Session, TerminalClient]]:
    """A lease with a terminal of a person with that role, on a real machine."""
    key = await hub.add_machine("Lobby")
    person = await hub.people.add(role, machines=(key.id,) if role == "technician" else ())
    holder, admin = RemoteOperator(hub, person), RemoteOperator(hub, hub.admin)
    async with remote_machine(folder / "machine", hub.url, key):
        await admin.present(key)
        session = await holder.lease(key)
        async with holder.terminal(session["id"]) as terminal:
            await terminal.type("echo $((6*7))\r")
            await terminal.shows(r"\b42\b")
            yield holder, key, session, terminal


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("role", "loses"), [("operator", disabled), ("operator", made_a_viewer), ("technician", machine_taken_away)],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
async def test_whoever_loses_their_rights_loses_the_session_within_five_seconds(
    tmp_path: Path, role: str, loses: Revocation
) -> None:
    async with forked_hub(tmp_path) as hub, held(hub, tmp_path, role) as (holder, key, session, terminal):
        admin = RemoteOperator(hub, hub.admin)
        await loses(admin, holder.person, key)
        assert await terminal.closed(REVOKED_WITHIN_S) != 1006, "it was closed, and its page told"
        ended = await admin.ended(key, session["id"], REVOKED_WITHIN_S)
        assert ended["end_reason"] == "revoked"
        await admin.machine(key, lambda m: m["special_status"] is None)
        with pytest.raises((websockets.InvalidStatus, AssertionError)):
            async with holder.terminal(session["id"]):
                pass
        assert "Traceback" not in hub.log


@pytest.mark.timeout(120)
async def test_a_terminals_id_in_other_hands_ends_the_remote_session(tmp_path: Path) -> None:
    """Whoever got hold of it, another administrator included, is refused; and the holder is told by the end."""
    async with forked_hub(tmp_path) as hub, held(hub, tmp_path, "operator") as (_, key, session, terminal):
        thief = RemoteOperator(hub, hub.admin)
        async with thief.terminal_socket() as stolen:
            request = {"type": "attach", "terminal": terminal.ready["terminal"], "received": 0}
            await stolen.socket.send(json.dumps(request))
            assert await stolen.closed() == 4403
            assert stolen.output == b""
        ended = await thief.ended(key, session["id"])
        assert ended["end_reason"] == "intruder"
        (event,) = await thief.events("remote.intruder")
        assert event["params"]["session_id"] == session["id"]
        assert event["params"]["user_id"] == hub.admin.id
        await thief.machine(key, lambda m: m["special_status"] is None)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_a_sessions_number_opens_no_terminal_for_anybody_else(tmp_path: Path, role: str) -> None:
    async with forked_hub(tmp_path) as hub, held(hub, tmp_path, "operator") as (holder, key, session, terminal):
        other = RemoteOperator(hub, await hub.people.add(role))
        with contextlib.suppress(websockets.InvalidStatus):
            async with other.terminal_socket() as guessed:
                request = {"type": "open", "session": session["id"], "cols": 80, "rows": 24}
                await guessed.socket.send(json.dumps(request))
                assert await guessed.closed() in (4401, 4403, 4404)
                assert guessed.output == b""
        await terminal.type("echo $((43*2))\r")
        await terminal.shows(r"\b86\b")
        status = await holder.get(f"/rvms/{key.id}/remote-access/status")
        assert [row["id"] for row in status["sessions"]] == [session["id"]]


@pytest.mark.timeout(180)
async def test_twenty_sessions_a_person_and_two_a_machine(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, contextlib.AsyncExitStack() as stack:
        operator = RemoteOperator(hub, await hub.people.add("operator"))
        other = RemoteOperator(hub, hub.admin)
        machines: list[LeasedMachine] = []
        for number in range(11):
            key = await hub.add_machine(f"Machine {number}")
            machines.append(await stack.enter_async_context(leased_machine(hub, key)))
        for machine in machines[:10]:
            for _ in range(2):
                await operator.start(machine.client.key)
                await machine.accept()
        assert (await other.refusal(machines[0].client.key))[0] == 429, "a third session on one machine"
        assert (await operator.refusal(machines[10].client.key))[0] == 429, "a twenty-first of one person"
        await other.start(machines[10].client.key)
        await operator.stop(machines[0].client.key)
        await operator.start(machines[10].client.key)
        assert "Traceback" not in hub.log
