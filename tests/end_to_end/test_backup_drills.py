"""A real agent's archives, drilled by a real hub: full, incremental, encrypted, and one that rots in the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from archive.age import make_identity
from tests.support.backed_up_machine import MIB, BackedUpMachine, backed_up_machine
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.until import until, until_answered


async def drilled(machine: BackedUpMachine, backup_id: int) -> dict[str, Any]:
    """The backup after its drill."""

    async def is_over() -> bool:
        return (await machine.get(f"/backups/{backup_id}"))["drill_at"] is not None

    await until_answered(is_over, 60)
    return await machine.get(f"/backups/{backup_id}")


async def post(hub: ForkedHub, path: str) -> dict[str, Any]:
    async with hub.client() as client:
        answer = await client.post(path)
    assert answer.status_code == 202, answer.text
    return dict(answer.json()["data"])


async def alerts(hub: ForkedHub) -> list[tuple[str, int | None]]:
    async with hub.client() as client:
        found = (await client.get("/api/v2/backups/alerts")).json()["data"]
    return [(alert["code"], alert["backup_id"]) for alert in found]


@pytest.mark.timeout(180)
async def test_a_chain_of_a_real_agent_is_verified_and_rot_is_found(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, 2 * MIB) as machine:
        full = await machine.ask()
        await machine.ended()
        assert (await drilled(machine, full))["upload_status"] == "verified"
        photos = tmp_path / "site" / "photos"
        (photos / "0.jpg").unlink()
        (photos / "new.jpg").write_bytes(b"new" * 1000)
        following = await machine.ask("incremental")
        await until_answered(lambda: _is_newest(machine, following), 60)
        found = await drilled(machine, following)
        assert (found["upload_status"], found["backup_type"], found["parent_id"]) == ("verified", "incremental", full)
        listed = await machine.get(f"/backups/{following}/files?folder=photos")
        assert [entry["name"] for entry in listed["entries"]] == ["new.jpg"]
        assert listed["deleted"] == ["0.jpg"]
        assert await alerts(hub) == []
        store = hub.settings.data_dir / "objects"
        (archive,) = [path for path in store.rglob(f"{full}-*.tar.gz") if path.is_file()]
        data = bytearray(archive.read_bytes())
        data[len(data) // 2] ^= 1
        archive.write_bytes(data)
        before = found["drill_at"]
        await post(hub, f"/api/v2/rvms/{machine.key.id}/backups/{following}/verify")
        await until_answered(lambda: _is_drilled_after(machine, following, before), 60)
        found = await machine.get(f"/backups/{following}")
        assert (found["upload_status"], found["drill_error"]["code"]) == ("completed", "archive_damaged")
        assert (await machine.get(f"/backups/{full}"))["upload_status"] == "completed", "which is the damaged one"
        assert await alerts(hub) == [("drill_failed", following)]
        assert list(hub.settings.backup_scratch.iterdir()) == []


async def _is_newest(machine: BackedUpMachine, backup_id: int) -> bool:
    status = await machine.status()
    return status["backup_id"] == backup_id and status["upload_status"] in ("completed", "verified")


async def _is_drilled_after(machine: BackedUpMachine, backup_id: int, before: str) -> bool:
    at = (await machine.get(f"/backups/{backup_id}"))["drill_at"]
    return at is not None and at != before


@pytest.mark.timeout(180)
async def test_what_only_the_machine_can_read_the_machine_verifies(tmp_path: Path) -> None:
    _, recipient = make_identity()
    site = tmp_path / "site"
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(site, hub, 2 * MIB, backup_public_key=recipient) as machine,
    ):
        backup_id = await machine.ask()
        await machine.ended()
        found = await drilled(machine, backup_id)
        assert (found["encrypted"], found["upload_status"]) == (True, "verified")
        assert not found["has_files"], "the hub cannot list it"


@pytest.mark.timeout(180)
async def test_a_hub_that_is_killed_in_a_drill_makes_it_again_and_leaves_nothing(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, 64 * MIB) as machine:
        backup_id = await machine.ask()
        await machine.ended()
        scratch = hub.settings.backup_scratch

        async def unpacks() -> bool:
            """One that was over before we looked is asked for again."""
            if any(scratch.glob("check-*/tree/*")):
                return True
            if (await machine.get(f"/backups/{backup_id}"))["upload_status"] == "verified":
                async with hub.client() as client:
                    await client.post(f"/api/v2/rvms/{machine.key.id}/backups/{backup_id}/verify")
            return False

        await until_answered(unpacks, 60, every=0.01)
        await hub.kill()
        assert (await restarted(hub, machine, backup_id))["upload_status"] == "verified"
        await until(lambda: not any(scratch.iterdir()), 60)


async def restarted(hub: ForkedHub, machine: BackedUpMachine, backup_id: int) -> dict[str, Any]:
    await hub.start()
    return await drilled(machine, backup_id)


@pytest.mark.timeout(180)
async def test_a_machine_is_asked_in_its_window_without_anybody(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, MIB) as machine:
        here = datetime.now(ZoneInfo("Asia/Jakarta"))
        window = f"{here - timedelta(hours=22):%H:%M}-{here + timedelta(hours=1):%H:%M}"
        async with hub.client() as client:
            zone = {"default_timezone": "Asia/Jakarta", "pinned_timezone": "Asia/Jakarta"}
            answer = await client.patch("/api/v2/config", json={"backup_window": window, **zone})
        assert answer.status_code == 200, answer.text

        async def is_asked() -> bool:
            return (await machine.status())["backup_id"] is not None

        await until_answered(is_asked, 60)
        status = await machine.ended()
        assert (status["backup"]["trigger"], status["backup"]["requested_by"]) == ("schedule", "clock")
        assert (await drilled(machine, status["backup_id"]))["upload_status"] == "verified"
