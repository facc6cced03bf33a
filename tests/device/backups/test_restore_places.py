"""Where what is restored belongs: one rename where that can be, member by member where something must stay."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.backups import restore_places
from device.backups.restore_places import NoPlaceError, places_of
from device.commands.jobs import WorkFailedError
from device.settings import load
from device.settings.backup_values import BackupSource
from tests.support.backup_archives import picture
from tests.support.restored_machine import OLD, RestoredMachine, left_over
from tests.support.two_users import only_root


@pytest.fixture
def world(tmp_path: Path) -> RestoredMachine:
    return RestoredMachine(tmp_path)


def closed(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """As for an agent that is not root: these cannot be written."""
    real = os.access

    def access(path: Any, mode: int, **how: Any) -> bool:
        return not (mode & os.W_OK and Path(path) in folders) and real(path, mode, **how)

    monkeypatch.setattr(restore_places.os, "access", access)  # type: ignore[attr-defined]


async def test_where_the_folder_above_is_not_ours_the_members_are_exchanged(
    world: RestoredMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = world.back_up()
    new = world.picture()
    world.ruin()
    inodes = [root.stat().st_ino for root in world.roots.values()]
    closed(monkeypatch, world.place / "srv")
    await world.restore(backup)
    assert [root.stat().st_ino for root in world.roots.values()] == inodes
    after = world.picture()
    assert {path: what[3] for path, what in after.items()} == {path: what[3] for path, what in new.items()}
    assert left_over(world) == []


async def test_what_no_backup_holds_stays_also_where_members_are_exchanged(
    world: RestoredMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = world.back_up()
    app = world.roots["app"]
    (app / "later" / "cache").mkdir(parents=True)
    for name in ("x.tmp", "later/y.tmp", "later/cache/z", "later/goes", "goes"):
        (app / name).write_bytes(b"mine")
    os.mkfifo(app / "pipe")
    closed(monkeypatch, world.place / "srv")
    await world.restore(backup)
    kept = {"x.tmp", "pipe", "later", "later/y.tmp", "later/cache", "later/cache/z"}
    found = {str(path.relative_to(app)) for path in app.rglob("*")}
    assert found == kept | {"app-0", "app-1", "app-2", "link", "sub", "sub/deep"}
    assert left_over(world) == []


async def test_what_cannot_be_written_at_all_is_refused_before_anything_is_fetched(
    world: RestoredMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = world.back_up()
    world.archives.clear()
    closed(monkeypatch, world.place / "srv", *world.roots.values())
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup)
    assert refused.value.failure.code == "not_writable"
    assert str(world.place / "srv") in refused.value.failure.message or "app" in refused.value.failure.message


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    places = (place for place in map(Path, ("/dev/shm", "/var/tmp", "/tmp")) if place.is_dir())
    other = next((place for place in places if place.stat().st_dev != tmp_path.stat().st_dev), None)
    if other is None:
        pytest.skip("no second file system on this computer")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        yield Path(folder)


async def test_sources_of_two_file_systems_are_staged_on_each(tmp_path: Path, memory: Path) -> None:
    world = RestoredMachine(tmp_path)
    shutil.move(world.roots["conf"], memory / "conf")
    world.roots["conf"] = memory / "conf"
    config = json.loads((tmp_path / "machine.json").read_text())
    config["backup_sources"]["conf"]["path"] = str(memory / "conf")
    (tmp_path / "machine.json").write_text(json.dumps(config))
    world.settings = load(tmp_path / "machine.json", {})
    world.machine.sources["conf"] = memory / "conf"
    backup = world.back_up()
    before = [picture(root) for root in world.roots.values()]
    world.ruin()
    result = await world.restore(backup)
    assert [picture(root) for root in world.roots.values()] == before
    assert result["files"] == 8
    assert (world.roots["conf"] / "conf-0").read_bytes() == OLD
    assert left_over(world) == []
    assert sorted(os.listdir(memory)) == ["conf"]  # noqa: PTH208 - as it is


def source_at(path: Path) -> dict[str, BackupSource]:
    return {"app": BackupSource(path=str(path), data_class="data")}


def test_links_of_the_machine_are_followed(tmp_path: Path) -> None:
    (tmp_path / "disk" / "app").mkdir(parents=True)
    (tmp_path / "srv").symlink_to("disk/../disk")
    (tmp_path / "app").symlink_to(tmp_path / "srv" / "app")
    (place,) = places_of(source_at(tmp_path / "app"), (), ())
    assert place.real == os.path.realpath(tmp_path / "app") == str(tmp_path / "disk" / "app")
    (place,) = places_of(source_at(tmp_path / "srv" / "new" / "one"), (), ())
    assert place.real == str(tmp_path / "disk" / "new" / "one")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NoPlaceError, match="unsafe"):
        places_of(source_at(tmp_path / "loop"), (), ())


@only_root
@pytest.mark.parametrize("way", ["app", "app/below"])
def test_nobody_else_chooses_by_a_link_what_root_replaces(tmp_path: Path, way: str) -> None:
    (tmp_path / "etc" / "below").mkdir(parents=True)
    link = tmp_path / "app"
    link.symlink_to("etc")
    os.lchown(link, 12345, 12345)
    with pytest.raises(NoPlaceError, match="unsafe"):
        places_of(source_at(tmp_path / way), (), ())
    os.chown(tmp_path / "etc", 12345, 12345)
    assert places_of(source_at(tmp_path / way), (), ())[0].real == str(tmp_path / way.replace("app", "etc"))
    (tmp_path / "etc" / "below").rmdir()
    (tmp_path / "etc").rmdir()
    with pytest.raises(NoPlaceError, match="unsafe"):
        places_of(source_at(tmp_path / way), (), ())
