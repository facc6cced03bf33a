"""An agent killed at every single journal write, in four ways: each command at most once, and exactly one end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.journal.keeper import Journal
from device.journal.rules import Fact, Memory
from tests.device.commands.victim import COMMANDS, DIED, LIVED, WITHDRAWN

ROOT = Path(__file__).parents[3]
MOMENTS = ("before", "torn", "unflushed", "after")
MORE_THAN_ENOUGH = 60
TERMINAL = {"succeeded", "failed", "rejected"}


class Lives:
    """A process that has everything loaded and lives one life after the other."""

    def __init__(self) -> None:
        command = (sys.executable, "-m", "tests.device.commands.victim")
        self._process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, folder: Path, boot: str, die_at: int = 0, moment: str = "before") -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(folder), boot, die_at, moment]) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (DIED, LIVED)
        return code

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture
def life() -> Iterator[Lives]:
    lives = Lives()
    yield lives
    lives.close()


def facts(folder: Path) -> list[Fact]:
    return Journal(folder / "journal").load()


def remembered(folder: Path) -> Memory:
    memory = Memory()
    for fact in facts(folder):
        memory.apply(fact)
    return memory


def check(folder: Path, killed_at: str) -> None:
    """What must hold after the machine has lived to its end, however its first life went."""
    memory = remembered(folder)
    answers = Counter(fact.answered.id for fact in facts(folder) if fact.answered is not None and fact.unconfirmed)
    effects = folder / "effects"
    happened = Counter(effects.read_text().split()) if effects.exists() else Counter[str]()
    for command_id in (*COMMANDS, WITHDRAWN):
        update = memory.answer_to(command_id)
        assert update is not None, f"{killed_at}: {command_id} has no end"
        assert update.state in TERMINAL, f"{killed_at}: {command_id} is {update.state}"
        assert answers[command_id] <= 1, f"{killed_at}: {command_id} ended {answers[command_id]} times"
        assert happened[command_id] <= 1, f"{killed_at}: {command_id} happened {happened[command_id]} times"
        if update.state == "rejected":
            assert happened[command_id] == 0, f"{killed_at}: {command_id} was refused and happened"
    restart = memory.answer_to("restart")
    if restart is not None and restart.state == "succeeded":
        assert happened["restart"] == 1, f"{killed_at}: said to have happened"
    assert memory.state.reason == "once"
    assert not memory.begun
    check_session(folder, memory, killed_at)
    late, withdrawn = memory.answer_to("late"), memory.answer_to(WITHDRAWN)
    assert late is not None
    assert withdrawn is not None
    assert (late.error and late.error.code, withdrawn.error and withdrawn.error.code) == ("expired", "cancelled")


def check_session(folder: Path, memory: Memory, killed_at: str) -> None:
    """A session that began has one end, and the machine is what it was."""
    assert not memory.sessions, f"{killed_at}: a session is open for ever"
    assert memory.state.special_status is None, f"{killed_at}: in maintenance for ever"
    lease = memory.answer_to("lease")
    began = lease is not None and lease.state == "succeeded"
    ends = [end for fact in facts(folder) for end in fact.ended]
    assert len(ends) == began, f"{killed_at}: {ends}"
    assert all(end.reason in ("stopped", "agent_restarted", "machine_rebooted") for end in ends)


def one_death(life: Lives, folder: Path, die_at: int, moment: str, next_boot: str) -> bool:
    """Whether there was a write to die at."""
    folder.mkdir()
    died = life(folder, "boot-1", die_at, moment) == DIED
    # A second death in the life that puts things right must change nothing either.
    if died:
        life(folder, next_boot, 1, moment)
    assert life(folder, next_boot) == LIVED
    first = remembered(folder)
    check(folder, f"{moment} write {die_at}, then {next_boot}")
    assert life(folder, next_boot) == LIVED
    again = remembered(folder)
    assert all(first.answer_to(name) == again.answer_to(name) for name in COMMANDS), "an end is for ever"
    return died


@pytest.mark.timeout(240)
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_every_write_each_command_ends_once_and_happens_at_most_once(
    life: Lives, tmp_path: Path, moment: str
) -> None:
    deaths = 0
    for die_at in itertools.count(1):
        assert die_at < MORE_THAN_ENOUGH
        # Every other time the machine itself went down, and not only the agent.
        if not one_death(life, tmp_path / f"{die_at}", die_at, moment, f"boot-{1 + die_at % 2}"):
            break
        deaths += 1
    assert deaths >= len(COMMANDS) * 2 + 1, "every command writes at least its end and the note that it was received"


def test_a_reboot_that_was_begun_is_judged_by_the_boot(life: Lives, tmp_path: Path) -> None:
    ends = {}
    for boot in ("boot-1", "boot-2"):
        folder = tmp_path / boot
        folder.mkdir()
        write = 1
        while not _died_begun(life, tmp_path / f"{boot}-{write}", write):
            write += 1
        assert life(folder, "boot-1", write, "after") == DIED
        assert life(folder, boot) == LIVED
        update = remembered(folder).answer_to("reboot")
        assert update is not None
        ends[boot] = (update.state, update.error and update.error.code)
    assert ends == {"boot-1": ("failed", "interrupted"), "boot-2": ("succeeded", None)}


def _died_begun(life: Lives, folder: Path, write: int) -> bool:
    """Whether this write is the one that begins the reboot."""
    folder.mkdir()
    life(folder, "boot-1", write, "after")
    begun = facts(folder)[-1].begun
    return begun is not None and begun.name == "reboot"
