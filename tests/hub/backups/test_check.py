"""The child process that unpacks and compares: of files, of a store that sends, and of one that fails meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from archive import manifest
from hub.backups import check as module
from hub.backups.check import NotCheckedError, check, clean
from hub.kernel.objects.place import ObjectDamagedError, ObjectMissingError, ObjectsError
from tests.support.archives import file, folder, header, packed, tar_archive
from tests.support.backup_room import left_in

ROOM = 10**9
LONG = timedelta(hours=1)
FULL = packed(tar_archive(header(1), [folder("app"), file("app/a", b"one"), file("app/b", os.urandom(3_000_000))]))
CHANGED = packed(tar_archive(header(2, 1), [file("app/a", b"two")], ["app/b"]))


def pieces(data: bytes, fails: Exception | None = None) -> Callable[[], AsyncIterator[bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]
        if fails is not None:
            raise fails

    return stream


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"]
    for path, data in zip(paths, (FULL, CHANGED), strict=True):
        path.write_bytes(data)
    return paths


async def test_a_chain_of_files_is_replayed_and_its_last_manifest_kept(archives: list[Path], tmp_path: Path) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "scratch" / "manifest-2.gz"
    found = await check(archives, scratch, ROOM, out, LONG)
    assert (found["event"], found["backup_id"], found["files"]) == ("done", 2, 1)
    lines = list(manifest.read([gzip.decompress(out.read_bytes())]))
    assert isinstance(lines[1], manifest.Entry)
    assert lines[1].path == "app/a"
    assert left_in(scratch) == ["manifest-2.gz"], "what was unpacked is gone"
    assert scratch.stat().st_mode & 0o777 == 0o700


async def test_a_chain_that_a_store_sends_is_replayed_without_a_copy(tmp_path: Path) -> None:
    found = await check([pieces(FULL), pieces(CHANGED)], tmp_path, ROOM, tmp_path / "manifest-2.gz", LONG)
    assert (found["event"], found["chain"]) == ("done", [1, 2])
    assert found["archive_bytes"] == [len(FULL), len(CHANGED)]


async def test_a_damaged_archive_is_named_by_its_place(archives: list[Path], tmp_path: Path) -> None:
    archives[1].write_bytes(CHANGED[:-40])
    found = await check(archives, tmp_path, ROOM, tmp_path / "manifest-2.gz", LONG)
    assert (found["event"], found["code"], found["archive"]) == ("failed", "archive_damaged", 1)


@pytest.mark.parametrize("failure", [ObjectMissingError("gone"), ObjectDamagedError("ends early")])
async def test_what_the_store_lost_is_damage_of_that_archive(failure: Exception, tmp_path: Path) -> None:
    broken = [pieces(FULL), pieces(b"", failure)]
    found = await check(broken, tmp_path, ROOM, tmp_path / "manifest-2.gz", LONG)
    assert (found["event"], found["code"], found["archive"]) == ("failed", "archive_damaged", 1)


async def test_a_store_that_goes_away_says_nothing_about_the_archive(tmp_path: Path) -> None:
    with pytest.raises(ObjectsError, match="away"):
        await check([pieces(FULL[:100_000], ObjectsError("away"))], tmp_path, ROOM, tmp_path / "manifest-1.gz", LONG)
    assert left_in(tmp_path) == []


async def test_more_than_there_is_room_for_is_no_damage(archives: list[Path], tmp_path: Path) -> None:
    found = await check(archives, tmp_path, 1_000_000, tmp_path / "manifest-2.gz", LONG)
    assert found["event"] == "failed"
    assert found["code"] in ("too_large", "disk_full")


async def test_a_child_that_says_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.3)

    async def never() -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    with pytest.raises(NotCheckedError, match="said nothing"):
        await check([never], tmp_path, ROOM, tmp_path / "manifest-1.gz", LONG)


async def test_one_that_takes_longer_than_it_may_is_ended_as_too_slow(tmp_path: Path) -> None:
    pids: set[int] = set()
    others = _children()

    async def drop_by_drop() -> AsyncIterator[bytes]:
        pids.update(_children() - others)
        while True:
            for start in range(1000):
                yield FULL[start : start + 1]
                await anyio.sleep(0.01)

    found = await check([drop_by_drop], tmp_path, ROOM, tmp_path / "manifest-1.gz", timedelta(seconds=0.5))
    assert (found["event"], found["code"]) == ("failed", "too_slow")
    assert pids
    assert not any(_is_alive(pid) for pid in pids)
    assert left_in(tmp_path) == []


async def test_nobody_waits_for_it_and_it_is_gone(tmp_path: Path) -> None:
    pids: set[int] = set()
    others, begun = _children(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        pids.update(_children() - others)
        begun.set()
        yield FULL[:100_000]
        await anyio.sleep_forever()

    checking = asyncio.ensure_future(check([endless], tmp_path, ROOM, tmp_path / "manifest-1.gz", LONG))
    await begun.wait()
    assert pids
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    assert not any(_is_alive(pid) for pid in pids)
    assert left_in(tmp_path) == []


def test_it_is_polite_from_its_first_instruction() -> None:
    """Once more by itself: `tests/archive/test_main.py`."""
    process = module._begin([sys.executable, "-c", "import os; print(os.nice(0))"], [])
    said, _ = process.communicate()
    assert int(said) == min(os.nice(0) + module.NICE, 19)


def test_a_hub_that_is_killed_takes_its_child_along(tmp_path: Path) -> None:
    """Its child is told by its output, which nobody reads any more."""
    (tmp_path / "large.tar.gz").write_bytes(
        packed(tar_archive(header(1), [file(f"app/{number}", os.urandom(1_500_000)) for number in range(40)]))
    )
    program = textwrap.dedent(f"""
        import asyncio, datetime, pathlib
        from hub.backups.check import check
        here = pathlib.Path({str(tmp_path)!r})
        asyncio.run(check([here / "large.tar.gz"], here / "scratch", {ROOM}, here / "scratch" / "manifest-1.gz",
                          datetime.timedelta(hours=1)))
    """)
    hub = subprocess.Popen([sys.executable, "-c", program], cwd=module.ROOT)
    scratch = tmp_path / "scratch"
    while hub.poll() is None and not list(scratch.glob("check-*")):
        pass
    children = _children(hub.pid)
    assert children, "it unpacks"
    hub.send_signal(signal.SIGKILL)
    hub.wait()
    for pid in children:
        while _is_alive(pid):
            os.sched_yield()
    clean(scratch)
    assert left_in(scratch) == []


def test_only_its_own_leavings_are_removed(tmp_path: Path) -> None:
    (tmp_path / "check-abc" / "tree").mkdir(parents=True)
    (tmp_path / "manifest-7.gz.half").write_bytes(b"x")
    (tmp_path / "somebodys.txt").write_text("keep")
    (tmp_path / "check-link").symlink_to(tmp_path / "kept", target_is_directory=True)
    (tmp_path / "kept").mkdir()
    clean(tmp_path)
    assert left_in(tmp_path) == ["check-link", "kept", "somebodys.txt"]
    clean(tmp_path / "never made")


def _children(pid: int | None = None) -> set[int]:
    found: set[int] = set()
    for thread in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
            found.update(int(word) for word in (thread / "children").read_text().split())
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
