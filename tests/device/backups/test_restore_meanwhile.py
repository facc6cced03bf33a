"""What happens beside a restore: a backup has its turn, or a power cut in the exchange lets services start again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.backups import exchange, restore
from device.backups.restore_places import STAGING
from device.commands.jobs import WorkCancelledError, WorkFailedError
from tests.support.restored_machine import RestoredMachine, left_over
from tests.support.small_disk import small_disk
from tests.support.system_bus import PrivateBus, needs_bus
from tests.support.two_users import only_root
from tests.support.until import until

CAMERA = "camera.service"


async def test_it_waits_for_a_backup_longer_than_the_minute_it_was_to_begin_in(tmp_path: Path) -> None:
    world = RestoredMachine(tmp_path)
    backup = world.back_up()
    world.ruin()
    soon, withdrawn = world.job(seconds=5), world.job("cmd-2")
    async with world.restores._turn:
        running = asyncio.ensure_future(world.restore(backup, job=soon))
        other = asyncio.ensure_future(world.restore(backup, dry_run=True, job=withdrawn))
        await until(lambda: len(world.phases) >= 2)
        assert {phase for phase, _, _ in world.phases} == {"waiting"}
        assert soon.left_s > 60
        withdrawn.cancelled.set()
        with pytest.raises(WorkCancelledError):
            await other
    assert (await running)["files"] == 8


async def cut_in_the_exchange(folder: Path, bus: PrivateBus) -> RestoredMachine:
    """All but the last of what is renamed is in its place; systemd has done the rest of a boot."""
    world = RestoredMachine(folder, services=["camera"], backup_services=["camera"])
    bus.are(camera="active")
    backup = world.back_up()
    world.ruin()
    assert await asyncio.to_thread(ended_in_the_exchange, world, backup) == 9
    assert bus.calls == [["StopUnit", CAMERA, "replace"]]
    world.restores = world.agent()
    return world


def ended_in_the_exchange(world: RestoredMachine, backup: int) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    put = exchange.put
    done: list[exchange.Pair] = []

    def last(pair: exchange.Pair) -> None:
        if done:
            os._exit(9)
        put(pair)
        done.append(pair)

    exchange.put = last
    world.restores = world.agent()
    asyncio.run(world.restore(backup))
    os._exit(0)


@needs_bus
async def test_what_the_boot_started_stops_before_its_files_go(tmp_path: Path, bus: PrivateBus) -> None:
    """It would keep the old files open, and lose what it writes to them."""
    world = await cut_in_the_exchange(tmp_path, bus)
    await world.restores.recover()
    assert bus.calls[1:] == [["StopUnit", CAMERA, "replace"], ["StartUnit", CAMERA, "replace"]]
    after = await world.restores.aftermath("cmd-1")
    assert after is not None
    assert after["services"] == [CAMERA]
    assert left_over(world) == []


@needs_bus
async def test_what_does_not_stop_is_named(tmp_path: Path, bus: PrivateBus) -> None:
    world = await cut_in_the_exchange(tmp_path, bus)
    bus.mood = "down"
    await world.restores.recover()
    with pytest.raises(WorkFailedError, match=CAMERA) as failed:
        await world.restores.aftermath("cmd-1")
    assert failed.value.failure.code == "service_not_started"
    assert left_over(world) == []


@contextlib.contextmanager
def seen_at(disk: Path, place: Path) -> Iterator[None]:
    """A disk mounted there, which keeps what is on it when it is not."""
    subprocess.run(["mount", "--bind", disk, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.asynccontextmanager
async def half_exchanged(tmp_path: Path) -> AsyncIterator[tuple[RestoredMachine, dict[str, Any], Path, Path]]:
    """A machine that was killed in the exchange, started again without the disk that is half exchanged; how it looked
    before; that disk, and where it belongs."""
    place = tmp_path / "machine" / "srv" / "app"
    place.mkdir(parents=True)
    with small_disk(tmp_path / "disk", "200m") as disk:
        with seen_at(disk.folder, place):
            world = RestoredMachine(tmp_path / "machine")
            before = without_its_time(world.picture())
            backup = world.back_up()
            world.ruin()
            assert await asyncio.to_thread(ended_in_the_exchange, world, backup) == 9
        world.restores = world.agent()
        await world.restores.recover()
        yield world, before, disk.folder, place


@only_root
async def test_a_disk_that_comes_after_the_start_is_waited_for(tmp_path: Path) -> None:
    """Without it a half exchanged class would look as before."""
    async with half_exchanged(tmp_path) as (world, before, disk, place):
        with pytest.raises(WorkFailedError, match="not mounted") as failed:
            await world.restores.aftermath("cmd-1")
        assert failed.value.failure.code == "exchange_failed"
        assert exchange.away(waiting(world)) == [str(place / STAGING)]
        with seen_at(disk, place):
            assert place.joinpath(STAGING).exists()
            await world.restores.recover()
            after = await world.restores.aftermath("cmd-1")
            assert after is not None
            assert without_its_time(world.picture()) == before
            assert left_over(world) == []


@only_root
async def test_it_goes_on_as_soon_as_the_disk_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "DISK_EVERY_S", 0.01)
    async with half_exchanged(tmp_path) as (world, before, disk, place):
        running = asyncio.ensure_future(world.restores.run())
        with seen_at(disk, place):
            await until(lambda: waiting(world).step == "ended")
            assert without_its_time(world.picture()) == before
        running.cancel()


@only_root
@pytest.mark.parametrize("other", [{"classes": ["configuration"]}, {"paths": ["app/app-0"]}])
async def test_a_restore_of_something_else_does_not_take_the_place_of_one_that_waits(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    async with half_exchanged(tmp_path) as (world, before, disk, place):
        backup = waiting(world).backup_id
        with pytest.raises(WorkFailedError, match=f"backup {backup} is half restored .* waits for") as refused:
            await world.restore(backup, **other)
        assert refused.value.failure.code == "restore_waits"
        assert await world.restore(backup, dry_run=True, **other)
        with seen_at(disk, place):
            await world.restores.recover()
            assert without_its_time(world.picture()) == before
        assert left_over(world) == []


@only_root
async def test_a_restore_of_the_same_classes_takes_the_place_of_one_whose_disk_never_comes(tmp_path: Path) -> None:
    async with half_exchanged(tmp_path) as (world, before, _disk, _place):
        await world.restore(waiting(world).backup_id, classes=["configuration", "data"])
        assert waiting(world).step == "ended"
        assert without_its_time(world.picture()) == before


def without_its_time(picture: dict[str, Any]) -> dict[str, Any]:
    """A place that a disk is mounted at is exchanged by what it holds: its own time is that of the exchange."""
    mode, size, _, content = picture["app"]
    return {**picture, "app": (mode, size, content)}


def waiting(world: RestoredMachine) -> exchange.RestoreState:
    state = exchange.load(world.state_dir)
    assert state is not None
    return state


def refuse(pair: exchange.Pair) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), pair.target)


@needs_bus
async def test_a_disk_that_refuses_ends_no_agent_and_the_next_start_goes_on(
    tmp_path: Path, bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that the kernel has made read-only after errors."""
    world = await cut_in_the_exchange(tmp_path, bus)

    with monkeypatch.context() as read_only:
        read_only.setattr(exchange, "put", refuse)
        read_only.setattr(exchange, "take_back", refuse)
        await world.restores.recover()
        assert bus.calls[-1] == ["StartUnit", CAMERA, "replace"]
        assert await world.restores.aftermath("cmd-1") is None
    world.restores = world.agent()
    await world.restores.recover()
    after = await world.restores.aftermath("cmd-1")
    assert after is not None
    assert after["files"] == 8
    assert left_over(world) == []


@needs_bus
async def test_a_disk_that_refuses_both_is_named_and_services_run(
    tmp_path: Path, bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = RestoredMachine(tmp_path, services=["camera"], backup_services=["camera"])
    bus.are(camera="active")
    backup = world.back_up()
    world.ruin()

    monkeypatch.setattr(exchange, "put", refuse)
    monkeypatch.setattr(exchange, "take_back", refuse)
    with pytest.raises(WorkFailedError, match="next start") as failed:
        await world.restore(backup)
    assert failed.value.failure.code == "exchange_failed"
    assert bus.calls[-1] == ["StartUnit", CAMERA, "replace"]
