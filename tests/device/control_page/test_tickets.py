"""A ticket is good once, for a while, in one run of the machine."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from device.control_page.tickets import FOLDER, MAX_VISITORS, Visitors, issue, redeem
from tests.support.two_users import only_root, reachable_folder, visitor


def test_a_ticket_is_good_once(tmp_path: Path) -> None:
    ticket = issue(tmp_path, "boot")
    assert ticket not in "".join(str(found) for found in tmp_path.rglob("*")), "the ticket itself is kept nowhere"
    assert redeem(tmp_path, "boot", ticket)
    assert not redeem(tmp_path, "boot", ticket)


def test_another_run_of_the_machine_and_a_wrong_one_are_refused(tmp_path: Path) -> None:
    assert not redeem(tmp_path, "boot", "")
    ticket = issue(tmp_path, "boot")
    for wrong in ("", ticket[:-1], ticket + "x", "../lock", "\0", "\ud800"):
        assert not redeem(tmp_path, "boot", wrong)
    assert not redeem(tmp_path, "later boot", ticket)


def test_a_ticket_gets_old_and_old_ones_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = issue(tmp_path, "boot"), issue(tmp_path, "boot")
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + 301)
    assert not redeem(tmp_path, "boot", first)
    third = issue(tmp_path, "boot")
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    assert not redeem(tmp_path, "boot", second)
    assert redeem(tmp_path, "boot", third)


def test_nobody_else_can_read_or_make_one(tmp_path: Path) -> None:
    issue(tmp_path, "boot")
    folder = tmp_path / FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


@only_root
def test_the_agents_user_leads_root_nowhere(tmp_path: Path) -> None:
    """Root prints a ticket of an agent that is another user, who has put a link where the tickets are kept."""
    agent = visitor()
    (tmp_path / "shadow").write_text("root's")
    before = tmp_path.stat()
    with reachable_folder(agent.uid) as state:
        assert redeem(state, "boot", issue(state, "boot"))
        assert (state / FOLDER).stat().st_uid == agent.uid
        (state / FOLDER).rmdir()
        (state / FOLDER).symlink_to(tmp_path)
        with pytest.raises(PermissionError):
            issue(state, "boot")
    assert os.geteuid() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["shadow"]
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == (before.st_uid, before.st_mode)


def test_visitors_are_known_for_an_hour_and_are_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    visitors = Visitors()
    first = visitors.admit()
    assert visitors.knows(first)
    assert not visitors.knows("")
    assert not visitors.knows(first + "x")
    later = [visitors.admit() for _ in range(MAX_VISITORS)]
    assert not visitors.knows(first)
    assert all(map(visitors.knows, later))
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3601)
    assert not any(map(visitors.knows, later))
