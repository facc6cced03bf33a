"""What is mounted below a source is restored where it is mounted, and nothing that is mounted is ever lost. Real
mounts."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.backups import exchange
from device.backups.mounts import is_mounted, mount_of, mount_points, mounted_below, remove_tree
from device.backups.restore_places import STAGING
from device.commands.jobs import WorkFailedError
from device.kernel import state_file
from tests.support.restored_machine import OLD, RestoredMachine, left_over
from tests.support.small_disk import small_disk
from tests.support.two_users import only_root

NEW = b"of today, and longer"


@pytest.fixture(params=["machine", "m\u00e4chine \\ 1"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> RestoredMachine:
    """Also where the kernel's list escapes the path."""
    return RestoredMachine(tmp_path / request.param)


@contextlib.contextmanager
def bound(folder: Path, place: Path, *, read_only: bool = False) -> Iterator[None]:
    """As ReadWritePaths= and ReadOnlyPaths= of a unit are."""
    subprocess.run(["mount", "--bind", folder, place], check=True)
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield
    finally:
        unmount(place)


def unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", place], check=True)


@only_root
async def test_a_disk_mounted_in_a_source_comes_back_as_well(world: RestoredMachine) -> None:
    app = world.roots["app"]
    with small_disk(app / "sub" / "disk", "8m") as disk, small_disk(disk.folder / "inner", "8m") as inner:
        for folder in (disk.folder, inner.folder):
            (folder / "photo").write_bytes(OLD)
        backup = world.back_up()
        for folder in (disk.folder, inner.folder):
            (folder / "photo").write_bytes(NEW)
            (folder / "later").write_bytes(NEW)
        world.ruin()
        preview = await world.restore(backup, dry_run=True)
        assert {f"app/sub/disk{inside}/photo" for inside in ("", "/inner")} < set(preview["examples"]["replaced"])
        assert {f"app/sub/disk{inside}/later" for inside in ("", "/inner")} < set(preview["examples"]["deleted"])
        result = await world.restore(backup)
        for folder in (disk.folder, inner.folder):
            assert (folder / "photo").read_bytes() == OLD
            assert not (folder / "later").exists()
            assert is_mounted(str(folder))
        assert (app / "app-0").read_bytes() == OLD
        assert result["classes"]["data"]["count"] == 7, "each file once"
        assert left_over(world) == []


@only_root
async def test_paths_choose_what_is_on_a_mounted_disk(world: RestoredMachine) -> None:
    app = world.roots["app"]
    with small_disk(app / "disk", "8m") as disk:
        (disk.folder / "a").write_bytes(OLD)
        (disk.folder / "b").write_bytes(OLD)
        backup = world.back_up()
        for name in ("disk/a", "disk/b", "app-0", "sub/deep"):
            (app / name).write_bytes(NEW)
        await world.restore(backup, paths=("app/disk/a", "app/sub"))
        found = {name: (app / name).read_bytes() for name in ("disk/a", "disk/b", "app-0", "sub/deep")}
        assert found == {"disk/a": OLD, "disk/b": NEW, "app-0": NEW, "sub/deep": OLD}
        await world.restore(backup, paths=("app/disk",))
        assert ((app / "disk/b").read_bytes(), (app / "app-0").read_bytes()) == (OLD, NEW)
        assert left_over(world) == []


@only_root
async def test_a_disk_of_which_the_backup_has_nothing_stays(world: RestoredMachine) -> None:
    app = world.roots["app"]
    (app / "stick").mkdir()
    backup = world.back_up()
    world.ruin()
    with small_disk(app / "later", "8m") as unknown, bound(unknown.folder, app / "stick"):
        (unknown.folder / "photo").write_bytes(NEW)
        preview = await world.restore(backup, dry_run=True)
        assert preview["examples"]["deleted"] == ["app/new"]
        await world.restore(backup)
        assert (app / "stick" / "photo").read_bytes() == (unknown.folder / "photo").read_bytes() == NEW
        assert (app / "app-0").read_bytes() == OLD
        assert left_over(world) == []


@only_root
async def test_a_disk_that_was_not_mounted_then_is_not_taken_for_one(world: RestoredMachine) -> None:
    """What the backup has of a mounted disk comes back where none is mounted: on a new controller, say."""
    app = world.roots["app"]
    with small_disk(app / "disk", "8m") as disk:
        (disk.folder / "photo").write_bytes(OLD)
        backup = world.back_up()
    await world.restore(backup)
    assert (app / "disk" / "photo").read_bytes() == OLD
    assert left_over(world) == []


@only_root
async def test_what_is_mounted_read_only_refuses_before_anything_is_changed(world: RestoredMachine) -> None:
    app = world.roots["app"]
    with small_disk(app / "disk", "8m") as disk:
        (disk.folder / "photo").write_bytes(OLD)
        backup = world.back_up()
        (app / "app-0").write_bytes(NEW)
        with bound(disk.folder, disk.folder, read_only=True):
            with pytest.raises(WorkFailedError, match="mounted there") as refused:
                await world.restore(backup)
            assert refused.value.failure.code == "not_writable"
            assert (app / "app-0").read_bytes() == NEW
            await world.restore(backup, paths=("app/app-0",))
            assert (app / "app-0").read_bytes() == OLD
        assert left_over(world) == []


@only_root
async def test_sources_bound_to_their_places_are_restored_each_on_its_mount(world: RestoredMachine) -> None:
    """As in a unit with ProtectSystem=strict and a ReadWritePaths= of both sources: one disk, three mounts."""
    srv = world.place / "srv"
    kept = {name: world.place / "kept" / name for name in world.roots}
    for name, folder in kept.items():
        folder.parent.mkdir(exist_ok=True)
        world.roots[name].rename(folder)
        world.roots[name].mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(bound(srv, srv, read_only=True))
        for name, folder in kept.items():
            stack.enter_context(bound(folder, world.roots[name]))
        backup = world.back_up()
        world.ruin()
        result = await world.restore(backup)
        assert result["files"] == 8
        assert (kept["app"] / "app-0").read_bytes() == (kept["conf"] / "conf-0").read_bytes() == OLD
        assert not (kept["app"] / "new").exists()
        assert left_over(world) == []


@only_root
async def test_a_source_bound_to_its_place_below_a_folder_that_can_be_written(world: RestoredMachine) -> None:
    """Its own name cannot be exchanged: what it holds is."""
    app = world.roots["app"]
    with bound(app, app):
        backup = world.back_up()
        world.ruin()
        await world.restore(backup)
        assert (app / "app-0").read_bytes() == OLD
        assert left_over(world) == []


@only_root
async def test_what_is_mounted_while_it_is_restored_is_not_removed(
    world: RestoredMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went with the old tree when that was renamed."""
    app = world.roots["app"]
    backup = world.back_up()
    with small_disk(world.place / "stick", "8m") as stick:
        (stick.folder / "photo").write_bytes(NEW)
        before = exchange.exchange_all

        def mounts_first(pairs: list[exchange.Pair]) -> dict[str, str]:
            subprocess.run(["mount", "--bind", stick.folder, app / "sub"], check=True)
            return before(pairs)

        monkeypatch.setattr(exchange, "exchange_all", mounts_first)
        try:
            await world.restore(backup)
            assert (stick.folder / "photo").read_bytes() == NEW
            assert (app / "sub" / "deep").read_bytes() == OLD
        finally:
            unmount(world.place / "srv" / STAGING / "tree" / "app" / "sub")


async def test_more_names_than_a_folder_of_photographs_has_are_exchanged_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each folder is flushed a few times, not twice a name."""
    live, staged = tmp_path / "live", tmp_path / STAGING
    count = 2 * exchange.SYNC_EVERY + 1
    for folder, text in ((live, "old"), (staged, "new")):
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.jpg").write_text(text)
    pairs = [
        exchange.Pair(
            data_class="images", target=str(live / f"{number}.jpg"), staged=str(staged / f"{number}.jpg"),
            new=exchange.inode(str(staged / f"{number}.jpg")),
        )
        for number in range(count)
    ]  # fmt: skip
    flushed: list[Path] = []
    monkeypatch.setattr(state_file, "sync_folder", flushed.append)
    assert exchange.exchange_all(pairs) == {}
    assert {(live / f"{number}.jpg").read_text() for number in range(count)} == {"new"}
    assert set(flushed) == {live, staged}
    assert len(flushed) == 2 * 3


def test_the_kernels_list_is_read_as_bytes() -> None:
    listed = (
        b"22 1 254:1 / / rw - ext4 /dev/vda rw\n"
        b"36 22 0:31 / /srv/a\\040b\\134c rw,relatime - tmpfs tmpfs rw\n"
        b"37 22 0:32 / /srv/d\xc3\xa4t\xff rw - tmpfs tmpfs rw\n"
        b"broken\n"
    )
    assert mount_points(listed) == ["/", "/srv/a b\\c", "/srv/d\u00e4t\udcff"]


@only_root
def test_a_tree_is_removed_around_what_is_mounted_in_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "c").write_text("goes")
    (tree / "link").symlink_to("a")
    with small_disk(tree / "a" / "b" / "disk", "1m") as disk:
        (disk.folder / "photo").write_text("stays")
        assert mounted_below(str(tree)) == [str(disk.folder)]
        assert mount_of(str(disk.folder / "photo")) == str(disk.folder)
        remove_tree(str(tree))
        assert [str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))] == [
            "a", "a/b", "a/b/disk", "a/b/disk/photo",
        ]  # fmt: skip
    remove_tree(str(tree))
    assert not tree.exists()
