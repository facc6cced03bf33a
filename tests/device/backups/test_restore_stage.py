"""What a restore reads: the archive that was asked for, under the number that it has at the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.commands.jobs import WorkFailedError
from device.settings import load
from tests.support.restored_machine import OLD, RestoredMachine, left_over


@pytest.fixture
def world(tmp_path: Path) -> RestoredMachine:
    return RestoredMachine(tmp_path)


async def test_a_kept_archive_that_was_given_to_the_hub_again_comes_back(world: RestoredMachine) -> None:
    """Its own number is of a hub that was lost, or of a backup that was deleted."""
    kept = world.back_up()
    again = kept + 40
    world.archives = {again: world.archives[kept]}
    world.ruin()
    preview = await world.restore(again, dry_run=True)
    assert preview["examples"]["added"] == ["app/app-1"]
    result = await world.restore(again)
    assert (result["backup_id"], result["chain"]) == (again, [again])
    assert (world.roots["app"] / "app-1").read_bytes() == OLD
    assert left_over(world) == []


async def test_what_needs_others_or_is_of_another_machine_is_refused(world: RestoredMachine, tmp_path: Path) -> None:
    full = world.back_up()
    (world.roots["app"] / "app-2").write_bytes(b"second")
    following = world.back_up()
    world.archives = {following + 1: world.archives[following], full: world.archives[full]}
    with pytest.raises(WorkFailedError, match="the archive of backup 2"):
        await world.restore(following + 1)
    config = json.loads((tmp_path / "machine.json").read_text())
    (tmp_path / "machine.json").write_text(json.dumps({**config, "rvm_id": "jetson-8"}))
    world.settings = load(tmp_path / "machine.json", {})
    world.archives[9] = world.archives[full]
    with pytest.raises(WorkFailedError, match="the archive of backup 1"):
        await world.restore(9)
    assert left_over(world) == []
