"""Places in the life of a command at which a process of ours ends as by kill -9, each named and hit once.

A test writes a plan to a file; the process that finds it ends itself when it comes by (`os._exit`: nothing is flushed,
nobody says goodbye). The wrapped functions are those that journal, say and commit, so "after" means: on disk, handed to
the network, committed. The children of tests.support.fork_server have theirs armed.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from protocol import kinds
from protocol import messages as m

PLAN: Final = "test-crash.json"
KILLED: Final = 137


class Plan:
    """In a folder of the process: {"point", "name"}; `name` limits it to the commands of that name."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / PLAN

    def set(self, point: str, name: str = "") -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({"point": point, "name": name}))
        beside.replace(self._file)

    @property
    def pending(self) -> bool:
        """It has not been come by yet."""
        return bool(self.point)

    @property
    def point(self) -> str:
        """Where it shall end; empty when it did."""
        return str(self._read()["point"])

    def come_by(self, point: str, name: str = "") -> None:
        plan = self._read()
        if plan["point"] == point and plan["name"] in ("", name):
            self._file.unlink()
            os._exit(KILLED)

    def _read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._file.read_text())
        except OSError:
            return {"point": "", "name": ""}
        return found


def arm_agent(folder: Path) -> None:
    from device.journal import keeper
    from device.link import connection, duties
    from device.system import systemd

    plan, pings = Plan(folder), folder / "test-pings"

    def come_by(point: str, command_id: str) -> None:
        """Pings are how a test looks whether the machine is there: no plan is about them, in whichever life."""
        if not pings.exists() or command_id not in pings.read_text().split():
            plan.come_by(point)

    def hear(_: Any, message: Any) -> None:
        if isinstance(message, m.Command) and message.name == "ping":
            with pings.open("a") as known:
                known.write(f"{message.id}\n")
        elif isinstance(message, m.Command):
            come_by("received", message.id)
        elif isinstance(message, m.Received) and isinstance(message.ref, str):
            come_by("confirmed", message.ref)

    def journals(_: Any, fact: Any, **__: Any) -> None:
        if fact.answered is not None:
            come_by("end decided", fact.answered.id)

    def journaled(_: Any, fact: Any, **__: Any) -> None:
        if fact.accepted is not None:
            come_by("accepted journaled", fact.accepted)
        elif fact.begun is not None:
            come_by("begun journaled", fact.begun.id)
        elif fact.answered is not None:
            come_by("end journaled", fact.answered.id)
        elif isinstance(fact.received, str):
            come_by("confirmation noted", fact.received)

    def said(_: Any, message: Any) -> None:
        if isinstance(message, m.CommandUpdate):
            come_by("end told" if message.state in kinds.TERMINAL_UPDATES else f"{message.state} told", message.id)

    _arm_renewal(plan)
    _wrap(duties.LinkDuties, "_handle", before=hear)
    _wrap(keeper.Journal, "append", before=journals, after=journaled)
    _wrap_async(connection.HubLink, "send", after=said)
    for module, name in ((systemd, "reboot"), (systemd, "restart")):
        _wrap_async(module, name, after=lambda *_, **__: plan.come_by("effect done"))


def _arm_renewal(plan: Plan) -> None:
    """Where the machine keeps a key, and writes it into its file."""
    from device.enrolment import key_renewal

    def stage(kept: Any) -> str:
        if kept.adopted:
            return "adopted"
        return "offered" if kept.offered else "confirmed" if kept.current else "written"

    _wrap(
        key_renewal, "keep",
        before=lambda _, kept: plan.come_by(f"{stage(kept)} to keep"),
        after=lambda _, kept: plan.come_by(f"{stage(kept)} kept"),
    )  # fmt: skip
    _wrap(
        key_renewal, "write_into",
        before=lambda *_: plan.come_by("file to write"), after=lambda *_: plan.come_by("file written"),
    )  # fmt: skip


def _come_by_renewal(plan: Plan, changes: Any, moment: str) -> None:
    from hub.model.changes import Patch

    for patch in (change for change in changes if isinstance(change, Patch) and "next_api_key" in change.values):
        plan.come_by(f"{'renewal' if 'api_key' in patch.values else 'offer'} {moment}")


def arm_hub(folder: Path) -> None:
    """Also: a file `test-patience` with the seconds that every command has."""
    from db.records import CommandRow
    from hub.commands import rules as command_rules
    from hub.kernel.announce import Announcer
    from hub.kernel.commits import Commits
    from hub.links.link import MachineLink
    from hub.model import changes as c
    from hub.model.fleet import TERMINAL

    plan, told = Plan(folder), dict[str, str]()

    def names(changes: Any, kind: Any, states: Any = None) -> list[str]:
        found = [change.row for change in changes if isinstance(change, kind) and isinstance(change.row, CommandRow)]
        return [command.name for command in found if states is None or command.state in states]

    def commits(_: Any, changes: Any, *__: Any) -> None:
        _come_by_renewal(plan, changes, "to commit")
        for name in names(changes, c.Put):
            plan.come_by("asked", name)

    def committed(_: Any, changes: Any) -> None:
        _come_by_renewal(plan, changes, "committed")
        for name in names(changes, c.Put):
            plan.come_by("recorded", name)
        for name in names(changes, c.Move, TERMINAL):
            plan.come_by("end committed", name)

    def written_behind(_: Any, change: Any, __: Any) -> None:
        for name in names([change], c.Move, ("running",)):
            plan.come_by("running recorded", name)

    def hears(machine: Any, update: m.CommandUpdate, _: Any) -> None:
        command = machine.pending.get(update.id)
        if command is not None:
            plan.come_by("end heard" if update.state in TERMINAL else f"{update.state} heard", command.name)

    def link_made(link: Any, *_: Any) -> None:
        original = link._send

        async def send(event: Any) -> None:
            await original(event)
            said = json.loads(event["text"]) if event["type"] == "websocket.send" else {}
            if said.get("type") == "command":
                told[said["id"]] = said["name"]
                plan.come_by("told", said["name"])
            elif said.get("type") == "received" and said["ref"] in told:
                plan.come_by("confirmed", told[said["ref"]])
            elif said.get("type") == "received" and str(said["ref"]).startswith("rvmk_"):
                plan.come_by("key received")

        link._send = send

    _wrap_async(Commits, "commit", before=commits)
    _wrap(Commits, "_recorded", after=written_behind)
    _wrap(Announcer, "_on_commit", before=committed)
    _wrap(command_rules, "moved", before=hears)
    _wrap(MachineLink, "__init__", after=link_made)
    _take_patience(folder)


def _take_patience(folder: Path) -> None:
    from hub.commands import rules as command_rules

    patience = folder / "test-patience"
    if patience.exists():
        command_rules.DESIRED_STATE_LIFETIME = command_rules.IMMEDIATE_LIFETIME = timedelta(
            seconds=float(patience.read_text())
        )


Seen = Callable[..., None]


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _wrap(place: Any, name: str, before: Seen = _nothing, after: Seen = _nothing) -> None:
    original = getattr(place, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        before(*arguments, **named)
        result = original(*arguments, **named)
        after(*arguments, **named)
        return result

    setattr(place, name, wrapped)


def _wrap_async(place: Any, name: str, before: Seen = _nothing, after: Seen = _nothing) -> None:
    original = getattr(place, name)

    @functools.wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        before(*arguments, **named)
        result = await original(*arguments, **named)
        after(*arguments, **named)
        return result

    setattr(place, name, wrapped)
