"""Declarations left by other programs on the machine."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from device.status.rules import IllegalStatusError
from device.status_mailbox import StatusMailbox, StatusRequest
from tests.support.two_users import only_root, reachable_folder, visitor


def test_requests_wait_in_order_until_they_are_done(tmp_path: Path) -> None:
    box = StatusMailbox(tmp_path)
    assert list(box.waiting()) == []
    box.post(StatusRequest(status="full", capacity=100))
    box.post(StatusRequest(status="active"))
    assert [request.status for _, request in box.waiting()] == ["full", "active"]
    for path, _ in list(box.waiting()):
        assert path.stat().st_mode & 0o777 == 0o600
        box.done(path)
    assert list(box.waiting()) == []


def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word counts, and it is the one that came last."""
    box, clock = StatusMailbox(tmp_path), iter((2_000_000_000_000_000_000, 1_000_000_000_000_000_000, 7))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    for capacity in (10, 20, 30):
        box.post(StatusRequest(capacity=capacity))
    assert [request.capacity for _, request in box.waiting()] == [10, 20, 30]


def test_one_that_an_earlier_release_has_named_by_its_clock_came_before(tmp_path: Path) -> None:
    box = StatusMailbox(tmp_path)
    box.post(StatusRequest(capacity=10))
    (first, _), *_ = box.waiting()
    first.rename(first.with_name("02900000000000000000.request"))
    box.post(StatusRequest(capacity=20))
    assert [request.capacity for _, request in box.waiting()] == [10, 20]


def test_programs_that_declare_at_once_are_all_taken(tmp_path: Path) -> None:
    def speak(who: int) -> None:
        for turn in range(5):
            StatusMailbox(tmp_path).post(StatusRequest(reason=f"{who} {turn}", status="active"))

    threads = [threading.Thread(target=speak, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [str(request.reason) for _, request in StatusMailbox(tmp_path).waiting()]
    assert len(said) == 30
    for who in range(6):
        assert [one for one in said if one.startswith(f"{who} ")] == [f"{who} {turn}" for turn in range(5)]


def test_nonsense_is_refused_before_it_is_written_and_removed_when_found(tmp_path: Path) -> None:
    box = StatusMailbox(tmp_path)
    with pytest.raises(IllegalStatusError):
        box.post(StatusRequest(status="asleep"))
    assert not (tmp_path / "requests").exists()
    box.post(StatusRequest(status="full"))
    rubbish = tmp_path / "requests" / "0.request"
    rubbish.write_text("x")
    assert [request.status for _, request in box.waiting()] == ["full"]
    assert not rubbish.exists()


@only_root
def test_what_root_declares_by_hand_is_taken_by_the_agents_user() -> None:
    agent = visitor()
    with reachable_folder(agent.uid) as folder:
        box = StatusMailbox(folder)
        box.post(StatusRequest(status="full", capacity=100))
        assert {path.stat().st_uid for path in (folder / "requests").iterdir()} == {agent.uid}
        assert [str(one.status) for _, one in box.waiting()] == ["full"]


@only_root
def test_a_folder_that_root_has_made_is_given_back() -> None:
    """As earlier releases left it: the agent's user could not even look into it."""
    agent = visitor()
    with reachable_folder(agent.uid) as folder:
        (folder / "requests").mkdir(mode=0o700)
        (folder / "requests" / "lock").touch(mode=0o600)
        StatusMailbox(folder).post(StatusRequest(status="full", capacity=100))
        made = [folder / "requests", *(folder / "requests").iterdir()]
        assert {path.stat().st_uid for path in made} == {agent.uid}
        assert len(made) == 3


@only_root
def test_root_follows_no_link_that_the_agents_user_has_put_there(tmp_path: Path) -> None:
    agent = visitor()
    with reachable_folder(agent.uid) as folder:
        (folder / "requests").symlink_to(tmp_path)
        with pytest.raises(OSError, match="Permission denied"):
            StatusMailbox(folder).post(StatusRequest(status="full", capacity=100))
        assert list(tmp_path.iterdir()) == []
