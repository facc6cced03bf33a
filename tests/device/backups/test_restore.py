"""restore_backup on a machine's own disk: real archives, real renames, killed at every step."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive import age
from archive.attributes import ACCESS, DEFAULT
from archive.manifest import MANIFEST
from device.backups import exchange, restore, restore_places
from device.backups.control import IDENTITY
from device.commands.jobs import WorkCancelledError, WorkFailedError
from device.settings import load
from tests.support.archives import archive, file, folder, header, symlink
from tests.support.backup_archives import read
from tests.support.extended_files import FOR_A_USER, INHERITED, acl_of, extended_folder, extended_picture, set_acl
from tests.support.restored_machine import OLD, RestoredMachine, abandon, left_over
from tests.support.system_bus import PrivateBus, needs_bus
from tests.support.until import until


@pytest.fixture
def world(tmp_path: Path) -> RestoredMachine:
    return RestoredMachine(tmp_path)


async def test_a_chain_is_back_on_the_machine_as_it_was(world: RestoredMachine) -> None:
    world.back_up()
    (world.roots["app"] / "app-2").write_bytes(b"second")
    (world.roots["app"] / "sub" / "deep").unlink()
    backup = world.back_up()
    before = world.picture()
    world.ruin()
    result = await world.restore(backup)
    assert world.picture() == before
    assert (result["backup_id"], result["chain"]) == (2, [1, 2])
    assert result["classes"] == {"data": {"count": 4, "bytes": 24}, "configuration": {"count": 4, "bytes": 36}}
    assert world.begun == ["cmd-1"]
    assert [phase for phase, _, _ in world.phases] == ["exchanging", "starting"]
    assert left_over(world) == []


async def test_a_preview_says_what_would_happen_and_changes_nothing(world: RestoredMachine) -> None:
    backup = world.back_up()
    world.ruin()
    before = world.picture()
    result = await world.restore(backup, dry_run=True)
    assert world.picture() == before
    data = result["classes"]["data"]
    assert data["replaced"] == {"count": 1, "bytes": len(OLD)}
    assert data["added"] == {"count": 1, "bytes": len(OLD)}
    assert data["deleted"] == {"count": 1, "bytes": 3}
    assert data["same"]["count"] == 3
    assert result["classes"]["configuration"]["replaced"]["count"] == 1
    assert result["examples"] == {
        "replaced": ["app/app-0", "conf/conf-0"], "added": ["app/app-1"], "deleted": ["app/new"],
    }  # fmt: skip
    assert result["oldest"] <= result["newest"] <= result["now_newest"]
    assert world.begun == []
    assert left_over(world) == []


async def test_a_preview_needs_no_archive_where_the_hub_has_the_manifest(world: RestoredMachine) -> None:
    backup = world.back_up()
    whole = await world.restore(backup, dry_run=True)
    begin = world.archives[backup]
    world.archives[backup] = begin[: len(begin) - 400]
    with pytest.raises(WorkFailedError):
        await world.restore(backup, dry_run=True)
    world.manifests[backup] = gzip.compress(read(begin).contents[MANIFEST])
    assert await world.restore(backup, dry_run=True) == whole


async def test_one_class_or_some_paths_leave_all_else_alone(world: RestoredMachine) -> None:
    backup = world.back_up()
    before = world.picture()
    world.ruin()
    await world.restore(backup, classes=["configuration"])
    assert (world.roots["conf"] / "conf-0").read_bytes() == OLD
    assert (world.roots["app"] / "new").exists()
    result = await world.restore(backup, paths=["app/app-0", "app/app-1"])
    assert result["files"] == 2
    assert (world.roots["app"] / "app-1").read_bytes() == OLD
    (world.roots["app"] / "new").unlink()
    after = world.picture()
    assert {path: what for path, what in after.items() if what[0].startswith("0o1")} == {
        path: what for path, what in before.items() if what[0].startswith("0o1")
    }
    preview = await world.restore(backup, paths=["app/sub"], dry_run=True)
    assert preview["classes"]["data"]["same"]["count"] == 1


async def test_what_no_backup_holds_stays(world: RestoredMachine) -> None:
    backup = world.back_up()
    app = world.roots["app"]
    (app / "x.tmp").write_bytes(b"mine")
    (app / "cache" / "inner").mkdir(parents=True)
    (app / "cache" / "inner" / "y").write_bytes(b"mine too")
    os.mkfifo(app / "sub" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(app / "sock"))
        await world.restore(backup)
    assert (app / "x.tmp").read_bytes() == b"mine"
    assert (app / "cache" / "inner" / "y").read_bytes() == b"mine too"
    assert (app / "sub" / "pipe").is_fifo()
    assert (app / "sock").is_socket()


async def test_what_is_excluded_stays_where_the_backup_has_not_even_the_folder(world: RestoredMachine) -> None:
    backup = world.back_up()
    app = world.roots["app"]
    (app / "later" / "deep" / "cache").mkdir(parents=True)
    (app / "later" / "deep").chmod(0o750)
    for name in ("later/x.tmp", "later/deep/cache/y", "later/goes", "later/deep/goes"):
        (app / name).write_bytes(b"mine")
    (app / "empty").mkdir()
    await world.restore(backup)
    found = {str(path.relative_to(app)) for path in (app / "later").rglob("*")}
    assert found == {"later/x.tmp", "later/deep", "later/deep/cache", "later/deep/cache/y"}
    assert (app / "later" / "deep" / "cache" / "y").read_bytes() == b"mine"
    assert (app / "later" / "deep").stat().st_mode & 0o777 == 0o750
    assert not (app / "empty").exists()
    assert left_over(world) == []


async def test_where_a_file_comes_in_place_of_what_is_excluded_it_is_refused(world: RestoredMachine) -> None:
    backup = world.back_up()
    app = world.roots["app"]
    (app / "app-0").unlink()
    (app / "app-0" / "sub").mkdir(parents=True)
    (app / "app-0" / "sub" / "x.tmp").write_bytes(b"mine")
    before = world.picture()
    preview = await world.restore(backup, dry_run=True)
    assert preview["examples"]["in_the_way"] == ["app/app-0"]
    for paths in (None, ["app/app-0"]):
        with pytest.raises(WorkFailedError, match=str(app / "app-0")) as refused:
            await world.restore(backup, paths=paths)
        assert refused.value.failure.code == "in_the_way"
        assert world.picture() == before
    (app / "app-0" / "sub" / "x.tmp").rename(app / "x.tmp")
    assert "in_the_way" not in (await world.restore(backup, dry_run=True))["examples"]
    await world.restore(backup)
    assert ((app / "app-0").read_bytes(), (app / "x.tmp").read_bytes()) == (OLD, b"mine")
    assert left_over(world) == []


async def test_an_excluded_database_keeps_its_log(world: RestoredMachine) -> None:
    """The log's own name is not excluded, and yet no backup has it."""
    backup = world.back_up()
    database = world.roots["app"] / "x.tmp"
    abandon(database, "mine")
    await world.restore(backup)
    with contextlib.closing(sqlite3.connect(database)) as kept:
        assert kept.execute("select distinct v from t").fetchall() == [("mine",)]


async def test_the_agents_own_files_stay_where_they_are(tmp_path: Path) -> None:
    world = RestoredMachine(tmp_path)
    app = world.roots["app"]
    inside = app / "agent"
    inside.mkdir()
    config = json.loads((tmp_path / "machine.json").read_text())
    config["state_dir"] = str(inside / "state")
    (inside / "machine.json").write_text(json.dumps(config))
    (inside / "machine.json").chmod(0o600)
    (inside / "other").write_bytes(b"old")
    backup = world.back_up()
    (inside / "state").mkdir()
    (inside / "state" / "journal").write_bytes(b"of today")
    (inside / "machine.json").write_text(json.dumps({**config, "api_token": "rvmk_" + "of-today" * 6}))
    (inside / "other").write_bytes(b"new")
    world.ruin()
    world.settings = load(inside / "machine.json", {})
    world.restores = world.agent()
    await world.restore(backup)
    assert (inside / "state" / "journal").read_bytes() == b"of today"
    assert "of-today" in (inside / "machine.json").read_text()
    assert (inside / "other").read_bytes() == b"old"
    assert (app / "app-0").read_bytes() == OLD
    assert not (app / "new").exists()


async def test_a_new_controller_gets_what_the_old_one_had(world: RestoredMachine, tmp_path: Path) -> None:
    backup = world.back_up()
    before = world.picture()
    for root in world.roots.values():
        shutil.rmtree(root)
    await world.restore(backup)
    assert world.picture() == before


async def test_sources_that_this_machine_does_not_declare_are_left_out_and_named(world: RestoredMachine) -> None:
    world.archives[9] = archive(
        header(9, sources={**header().sources, "other": header().sources["app"]}),
        [folder("app"), file("app/a"), folder("other"), file("other/x"), symlink("conf", "/etc")],
    )
    result = await world.restore(9)
    assert result["foreign"] == ["other"]
    assert (world.roots["app"] / "a").read_bytes() == b"content"
    for paths in (["other/x"], ["nobody"]):
        with pytest.raises(WorkFailedError) as refused:
            await world.restore(9, paths=paths)
        assert refused.value.failure.code == "no_sources"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"paths": ["app/none"]}, "nothing_to_restore"),
        ({"paths": ["../etc"]}, "invalid"),
        ({"classes": ["images"]}, "no_sources"),
    ],
)
async def test_what_cannot_be_restored_is_refused_and_changes_nothing(
    world: RestoredMachine, args: dict[str, Any], code: str
) -> None:
    backup = world.back_up()
    before = world.picture()
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup, **args)
    assert refused.value.failure.code == code
    assert world.picture() == before
    assert left_over(world) == []


async def test_a_damaged_archive_changes_nothing(world: RestoredMachine) -> None:
    backup = world.back_up()
    world.ruin()
    before = world.picture()
    world.archives[backup] = world.archives[backup][:-400]
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup)
    assert refused.value.failure.code == "archive_damaged"
    world.archives[backup] = archive(header(77), [folder("app")])
    with pytest.raises(WorkFailedError, match="backup 77"):
        await world.restore(backup)
    assert world.picture() == before
    assert left_over(world) == []


async def test_an_encrypted_backup_opens_with_the_machines_own_identity(world: RestoredMachine) -> None:
    identity, recipient = age.make_identity()
    backup = world.back_up(recipients=[recipient])
    world.ruin()
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup)
    assert refused.value.failure.code == "wrong_key"
    (world.state_dir / IDENTITY).write_text(identity)
    await world.restore(backup)
    assert (world.roots["app"] / "app-0").read_bytes() == OLD


async def test_a_customer_is_not_disturbed(world: RestoredMachine) -> None:
    backup = world.back_up()
    world.busy[0] = True
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup, job=world.job(seconds=1.2))
    assert refused.value.failure.code == "return_session_open"
    assert ("waiting", None, None) in world.phases
    assert left_over(world) == []
    world.phases.clear()
    asking = asyncio.ensure_future(world.restore(backup))
    await until(lambda: world.phases[-1:] == [("waiting", None, None)])
    world.busy[0] = False
    assert (await asking)["files"] == 8


async def test_a_withdrawn_one_leaves_nothing(world: RestoredMachine) -> None:
    backup = world.back_up()
    job = world.job()
    job.cancelled.set()
    with pytest.raises(WorkCancelledError):
        await world.restore(backup, job=job)
    await asyncio.to_thread(lambda: None)
    await world.restores.recover()
    assert left_over(world) == []


@needs_bus
async def test_services_stop_before_and_start_after(tmp_path: Path, bus: PrivateBus) -> None:
    world = RestoredMachine(tmp_path, services=["camera", "ui"], backup_services=["camera", "ui"])
    bus.are(camera="active", ui="active")
    backup = world.back_up()
    world.ruin()
    result = await world.restore(backup)
    assert result["services"] == ["camera.service", "ui.service"]
    assert bus.calls == [
        ["StopUnit", "camera.service", "replace"], ["StopUnit", "ui.service", "replace"],
        ["StartUnit", "ui.service", "replace"], ["StartUnit", "camera.service", "replace"],
    ]  # fmt: skip


@needs_bus
async def test_a_service_that_does_not_stop_leaves_everything_as_it_was(tmp_path: Path, bus: PrivateBus) -> None:
    world = RestoredMachine(tmp_path, services=["camera"], backup_services=["camera"])
    bus.are(camera="active")
    backup = world.back_up()
    world.ruin()
    before = world.picture()
    bus.mood = "down"
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup)
    assert refused.value.failure.code == "service_not_stopped"
    assert bus.calls[-1] == ["StartUnit", "camera.service", "replace"]
    assert world.picture() == before
    assert left_over(world) == []


STEPS = range(14)


@pytest.mark.parametrize("number", STEPS)
async def test_killed_at_any_step_it_is_old_or_new_and_ends_at_the_next_start(number: int, tmp_path: Path) -> None:
    """Each save and each rename of a restore ends the process once: before it, and with what it had done."""
    world = RestoredMachine(tmp_path)
    backup = world.back_up()
    new = world.picture()
    world.ruin()
    old = world.picture()
    code = await asyncio.to_thread(killed_at, world, backup, number)
    between = world.picture()
    assert {path for path in between if not path.startswith(".")} - {*old, *new} == set()
    for name in world.roots:
        part = {path: what for path, what in between.items() if path.split("/")[0] == name}
        assert part in ({p: w for p, w in state.items() if p.split("/")[0] == name} for state in (old, new))
    world.restores = world.agent()
    await world.restores.recover()
    state = exchange.load(world.state_dir)
    after = await world.restores.aftermath("cmd-1")
    assert world.picture() == (new if after is not None else old)
    assert code == 9 or after is not None
    assert left_over(world) == []
    if after is not None:
        assert state is not None
        assert after["files"] == 8
        assert await world.restores.aftermath("another") is None
    assert (await world.restore(backup))["files"] == 8, "and it can be done again"
    assert world.picture() == new


def killed_at(world: RestoredMachine, backup: int, number: int) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [number]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return function(*args)

        return call

    exchange._rename = counted(exchange._rename)
    exchange._exchange = counted(exchange._exchange)
    exchange.save = counted(exchange.save)
    exchange.remove_staging = counted(exchange.remove_staging)
    restore.carry_over = counted(restore_places.carry_over)  # type: ignore[attr-defined]
    world.restores = world.agent()
    asyncio.run(world.restore(backup))
    os._exit(0)


async def test_extended_attributes_and_acls_are_back_and_set_id_bits_are_named(world: RestoredMachine) -> None:
    app = world.roots["app"]
    extended_folder(app / "more")
    (app / "tool").write_bytes(b"#!/bin/sh")
    (app / "tool").chmod(0o4755)
    before = extended_picture(app / "more")
    backup = world.back_up()
    set_acl(app / "more" / "plain.json", FOR_A_USER)
    os.removexattr(app / "more" / "weights.json", ACCESS)
    result = await world.restore(backup)
    assert extended_picture(app / "more") == before
    assert (app / "tool").stat().st_mode & 0o7777 == 0o755
    assert (result["set_id_removed"], result["without_attributes"]) == (["app/tool"], [])


async def test_a_folder_made_for_what_stays_keeps_its_acl(world: RestoredMachine) -> None:
    backup = world.back_up()
    folder = world.roots["app"] / "later"
    folder.mkdir()
    set_acl(folder, INHERITED, DEFAULT)
    (folder / "x.tmp").write_bytes(b"stays")
    await world.restore(backup)
    assert (acl_of(folder, DEFAULT), (folder / "x.tmp").read_bytes()) == (INHERITED, b"stays")
