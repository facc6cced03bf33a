"""Exchanges by rename: whatever is killed, each class is old or new and whole, and the next start finishes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from device.backups import exchange
from device.backups.exchange import (
    Pair,
    RestoreState,
    away,
    exchange_all,
    inode,
    mark,
    put,
    remove_staging,
    take_back,
    with_devices_of_now,
)  # fmt: skip
from device.kernel import state_file


def made(folder: Path, name: str, text: str) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "file").write_text(text)
    return place


def pair(target: Path, staged: Path, data_class: str = "data") -> Pair:
    return Pair(data_class=data_class, target=str(target), staged=str(staged), new=inode(str(staged)))  # type: ignore[arg-type]


def three(folder: Path) -> list[Pair]:
    """One that is exchanged, one that is added, one that goes."""
    made(folder / "live", "a", "old")
    made(folder / "live", "gone", "old")
    made(folder / "staging", "a", "new")
    made(folder / "staging", "b", "new")
    live, staging = folder / "live", folder / "staging"
    return [
        pair(live / "a", staging / "a"),
        pair(live / "deep" / "b", staging / "b"),
        pair(live / "gone", staging / "gone"),
    ]


def texts(folder: Path) -> dict[str, str]:
    return {str(file.parent.relative_to(folder)): file.read_text() for file in folder.rglob("file")}


OLD = {"a": "old", "gone": "old"}
NEW = {"a": "new", "deep/b": "new"}


@pytest.fixture(params=[True, False], ids=["exchange", "three renames"])
def renames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a file system that cannot exchange."""
    if not request.param:
        monkeypatch.setattr(exchange, "_RENAMEAT2", {})


@pytest.mark.usefixtures("renames")
def test_what_is_staged_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    pairs = three(tmp_path)
    assert exchange_all(pairs) == {}
    assert texts(tmp_path / "live") == NEW
    assert texts(tmp_path / "staging") == OLD
    assert exchange_all(pairs) == {}
    assert texts(tmp_path / "live") == NEW


@pytest.mark.usefixtures("renames")
def test_it_is_taken_back_from_wherever_it_was(tmp_path: Path) -> None:
    pairs = three(tmp_path)
    for count in range(len(pairs) + 1):
        for each in pairs[:count]:
            put(each)
        for each in reversed(pairs):
            take_back(each)
        assert texts(tmp_path / "live") == OLD


def killed_at(number: int, work: Callable[[], object]) -> int:
    """Runs in a process of its own that ends itself before its rename `number`; how it ended."""
    child = os.fork()
    if child == 0:
        left = [number]

        def rename(source: str, target: str) -> None:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            before(source, target)

        def swap(target: str, staged: str) -> None:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            whole(target, staged)

        before, whole = exchange._rename, exchange._exchange
        exchange._rename = rename
        if exchange._RENAMEAT2:
            exchange._exchange = swap
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.usefixtures("renames")
@pytest.mark.parametrize("number", range(8))
def test_killed_at_any_rename_it_is_finished_by_whoever_comes_next(number: int, tmp_path: Path) -> None:
    pairs = three(tmp_path)
    code = killed_at(number, lambda: exchange_all(pairs))
    assert (code == 0) == (number >= (3 if exchange._RENAMEAT2 else 5))
    assert not exchange._RENAMEAT2 or texts(tmp_path / "live")["a"] in ("old", "new")
    assert exchange_all(pairs) == {}
    assert texts(tmp_path / "live") == NEW


@pytest.mark.usefixtures("renames")
@pytest.mark.parametrize("number", range(8))
def test_killed_at_any_rename_it_can_be_taken_back(number: int, tmp_path: Path) -> None:
    pairs = three(tmp_path)
    killed_at(number, lambda: exchange_all(pairs))
    for each in reversed(pairs):
        take_back(each)
    assert texts(tmp_path / "live") == OLD


def test_a_class_that_cannot_be_exchanged_is_as_it_was_and_others_are_new(tmp_path: Path) -> None:
    pairs = [
        *three(tmp_path),
        pair(made(tmp_path / "live2", "c", "old"), made(tmp_path / "staging", "c", "new"), "logs"),
    ]
    (tmp_path / "staging" / "b" / "file").unlink()
    (tmp_path / "staging" / "b").rmdir()
    failed = exchange_all(pairs)
    assert list(failed) == ["data"]
    assert str(tmp_path / "staging" / "b") in failed["data"]
    assert texts(tmp_path / "live") == OLD
    assert texts(tmp_path / "live2") == {"c": "new"}


def test_files_and_links_are_exchanged_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("old")
    (tmp_path / "new").symlink_to("elsewhere")
    assert exchange_all([pair(tmp_path / "live", tmp_path / "new")]) == {}
    assert (tmp_path / "live").readlink() == Path("elsewhere")
    assert (tmp_path / "new").read_text() == "old"


def test_the_state_is_on_disk_whole_or_not_there(tmp_path: Path) -> None:
    assert exchange.load(tmp_path) is None
    state = exchange.save(tmp_path, RestoreState(command_id="c", backup_id=7, pairs=(*three(tmp_path),)))
    assert exchange.load(tmp_path) == state
    (tmp_path / exchange.FILE).write_bytes((tmp_path / exchange.FILE).read_bytes()[:-9])
    assert exchange.load(tmp_path) is None
    exchange.drop(tmp_path)
    exchange.drop(tmp_path)
    assert not (tmp_path / exchange.FILE).exists()
    state_file.write_value(tmp_path / exchange.FILE, {"step": "x"})
    assert exchange.load(tmp_path) is None


def test_a_disk_with_another_number_after_a_boot_is_known_by_its_mark(tmp_path: Path) -> None:
    staging = tmp_path / ".staging"
    (staging / "tree").mkdir(parents=True)
    target, staged = tmp_path / "app", staging / "tree" / "app"
    target.write_text("old"), staged.write_text("new")
    there = os.lstat(staged)
    renumbered = (there.st_dev + 7, there.st_ino)
    one = Pair(data_class="data", target=str(target), staged=str(staged), new=renumbered)
    state = mark(RestoreState(command_id="c", backup_id=1, staging=(str(staging),), pairs=(one,)))
    assert exchange_all(state.pairs) != {}, "by its old number nothing is known"
    now = with_devices_of_now(state)
    assert (away(now), exchange_all(now.pairs), target.read_text()) == ([], {}, "new")
    remove_staging(now.staging)
    assert away(now) == [], "all was in its place"
    target.unlink()
    assert away(now) == [str(staging)]
