"""When a return session is open: by file and by word, over jumping clocks, restarts and programs that died."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from device.status.return_session import NotPlainError, ReturnSession
from tests.support.two_users import only_root, reachable_folder, visitor


class Clocks:
    def __init__(self) -> None:
        self.monotonic = 10_000.0
        self.wall = 1_800_000_000.0

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def session(folder: Path, clocks: Clocks) -> ReturnSession:
    return ReturnSession(folder / "session", 900, lambda: clocks.monotonic, lambda: clocks.wall)


def touch_at(file: Path, wall: float) -> None:
    file.touch()
    os.utime(file, (wall, wall))


def touch(folder: Path, wall: float) -> None:
    touch_at(folder / "session", wall)


def test_it_lasts_while_the_file_is_touched_and_not_longer(tmp_path: Path) -> None:
    clocks = Clocks()
    looked = session(tmp_path, clocks)
    assert not looked.is_open()
    touch(tmp_path, clocks.wall)
    assert looked.is_open()
    clocks.pass_(899)
    assert looked.is_open()
    touch(tmp_path, clocks.wall)
    assert looked.is_open()
    clocks.pass_(899)
    assert looked.is_open()
    clocks.pass_(2)
    assert not looked.is_open(), "the program that touched it has died"
    touch(tmp_path, clocks.wall)
    assert looked.is_open()
    (tmp_path / "session").unlink()
    assert not looked.is_open()


def test_a_word_in_this_process_is_as_good_and_dies_as_well(tmp_path: Path) -> None:
    clocks = Clocks()
    looked = session(tmp_path, clocks)
    looked.declare(True)
    assert looked.is_open()
    looked.declare(False)
    assert not looked.is_open()
    looked.declare(True)
    clocks.pass_(901)
    assert not looked.is_open()


def test_a_wall_clock_that_jumps_ends_no_session(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.wall = 100.0  # 1970: the clock was not set yet
    looked = session(tmp_path, clocks)
    touch(tmp_path, clocks.wall)
    assert looked.is_open()
    clocks.wall = 1_800_000_000.0
    assert looked.is_open()
    clocks.pass_(901)
    assert not looked.is_open()


def test_a_new_agent_finds_an_open_session_and_none_from_before_the_boot(tmp_path: Path) -> None:
    clocks = Clocks()
    touch(tmp_path, clocks.wall - 60)
    assert session(tmp_path, clocks).is_open()
    clocks.monotonic = 30.0  # the machine was started half a minute ago
    assert not session(tmp_path, clocks).is_open()


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "pipe with a reader", "socket"])
def test_it_is_begun_by_a_plain_file_only_and_nobody_waits(tmp_path: Path, kind: str) -> None:
    file, other = tmp_path / "session", tmp_path / "other"
    reader = None
    if kind.startswith("link"):
        file.symlink_to(other)
        if kind == "link":
            touch_at(other, 1000.0)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(file))
    else:
        os.mkfifo(file)
        reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK) if "reader" in kind else None
    with pytest.raises(NotPlainError):
        ReturnSession(file, 900).touch()
    assert not other.exists() or other.stat().st_mtime == 1000.0
    if reader is not None:
        os.close(reader)


def test_it_is_begun_and_ended_by_hand(tmp_path: Path) -> None:
    looked = ReturnSession(tmp_path / "deep" / "session", 900)
    looked.touch()
    assert looked.is_open()
    looked.remove()
    looked.remove()
    assert not looked.is_open()


@only_root
def test_a_link_of_somebody_else_on_the_way_leads_root_nowhere(tmp_path: Path) -> None:
    """`busy on` as root, in a folder of the machine's own software; links of root's, as /var/run is one, are fine."""
    roots = tmp_path / "roots"
    roots.mkdir()
    user = visitor()
    with reachable_folder(user.uid) as theirs:
        (theirs / "mine").symlink_to(roots)
        os.chown(theirs / "mine", user.uid, user.gid, follow_symlinks=False)
        (theirs / "fine").symlink_to("../" + theirs.name)
        (theirs / "round").symlink_to("round")
        os.chown(theirs / "fine", 0, 0, follow_symlinks=False)
        led, fine = ReturnSession(theirs / "mine" / "session", 900), ReturnSession(theirs / "fine" / "session", 900)
        for one in (led, ReturnSession(theirs / "mine" / "deep" / "er" / "session", 900)):
            with pytest.raises(NotPlainError):
                one.touch()
        assert list(roots.iterdir()) == [], "no folder either"
        (roots / "session").touch()
        with pytest.raises(NotPlainError):
            led.remove()
        fine.touch()
        assert (theirs / "session").exists()
        fine.remove()
        assert not (theirs / "session").exists()
        with pytest.raises(OSError, match="links without end"):
            ReturnSession(theirs / "round" / "session", 900).remove()
    assert [one.name for one in roots.iterdir()] == ["session"]
