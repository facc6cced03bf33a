"""A backup while agent, hub and store are killed: it completes, is what stood on the machine, and leaves only that."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.backed_up_machine import MIB, BackedUpMachine, backed_up_machine
from tests.support.forked_hub import forked_hub
from tests.support.s3_server import s3_server
from tests.support.until import until

SIZE = 48 * MIB
RATE_KIB_S = 24 * 1024
KILLS = 3


def moments(seed: int) -> list[int]:
    """After how many uploaded bytes somebody is killed; 0: somewhere in the scan."""
    return sorted(random.Random(seed).randrange(SIZE) for _ in range(KILLS))


async def complete(machine: BackedUpMachine, backup_id: int, objects: Path | None = None) -> None:
    """The backup ends well, and its archive is all that the store has of it."""
    status = await machine.ended()
    assert status["upload_status"] in ("completed", "verified"), status
    await machine.check(backup_id, status)
    assert "Traceback" not in machine.hub.log + machine.agent.log
    if objects is not None:
        assert len(left_in(objects)) == 1, left_in(objects)


def left_in(objects: Path) -> list[str]:
    """What the store's folder has of archives; the manifest is what the drill took out of one."""
    found = [file.name for file in objects.rglob("*") if file.is_file() and "backups" in file.parts]
    return [name for name in found if not name.endswith(".manifest.gz")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_agent_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    """Its archiving process dies with it; once the whole machine boots."""
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE, backup_rate=RATE_KIB_S) as machine,
    ):
        backup_id = await machine.ask()
        for size in moments(seed):
            await machine.uploaded(size)
            children = children_of(machine.agent.pid)
            await machine.agent.kill()
            await until(lambda children=children: not any(map(is_running, children)))  # type: ignore[misc]
            if size == moments(seed)[-1]:
                machine.agent.boot()
            await machine.agent.start()
        await complete(machine, backup_id, hub.settings.data_dir)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """A zombie is not: whoever inherited it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3, 4])
async def test_the_hub_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE, backup_rate=RATE_KIB_S) as machine,
    ):
        backup_id = await machine.ask()
        for size in moments(seed):
            await machine.uploaded(size)
            await hub.kill()
            await hub.start()
        await complete(machine, backup_id, hub.settings.data_dir)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_the_store_is_killed_or_hangs(tmp_path: Path, fault: str) -> None:
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as s3:
        keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
        async with (
            forked_hub(tmp_path, object_store=s3.url("backups"), **keys) as hub,
            backed_up_machine(tmp_path / "site", hub, SIZE, backup_rate=RATE_KIB_S) as machine,
        ):
            backup_id = await machine.ask()
            for size in moments(5) if fault == "killed" else [moments(5)[0]]:
                await machine.uploaded(size)
                if fault == "killed":
                    s3.kill()
                    s3.start()
                else:
                    s3.freeze()
                    await machine.reports("waiting")
                    s3.go_on()
            await complete(machine, backup_id)
