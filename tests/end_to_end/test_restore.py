"""A machine restored with nothing played: preview, safety backup, restore by REST; killed in the middle of it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from archive import age, manifest
from tests.support.backed_up_machine import BackedUpMachine, backed_up_machine
from tests.support.forked_hub import forked_hub
from tests.support.until import until_answered

SIZE = 2_000_000


async def restore(machine: BackedUpMachine, backup_id: int, **wanted: Any) -> dict[str, Any]:
    async with machine.hub.client() as client:
        path = f"/api/v2/rvms/{machine.key.id}/backups/{backup_id}/restore"
        answer = await client.post(path, json=wanted)
    assert answer.status_code == 202, answer.text
    return dict(answer.json()["data"])


async def ended(machine: BackedUpMachine, restore_id: int) -> dict[str, Any]:
    async def is_over() -> bool:
        return (await machine.get(f"/restores/{restore_id}"))["finished_at"] is not None

    await until_answered(is_over, 60)
    return await machine.get(f"/restores/{restore_id}")


def content(photos: Path) -> dict[str, bytes]:
    return {f"photos/{file.name}": file.read_bytes() for file in photos.iterdir() if file.is_file()}


def ruin(photos: Path) -> None:
    (photos / "0.jpg").write_bytes(b"gone bad")
    (photos / "1.jpg").unlink()
    (photos / "later.jpg").write_bytes(b"later")


@pytest.mark.timeout(180)
async def test_a_machine_is_previewed_saved_and_restored(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, SIZE) as machine:
        photos = tmp_path / "site" / "photos"
        backup = await machine.ask()
        await machine.verified(backup)
        ruin(photos)
        ruined = content(photos)

        looked = await ended(machine, (await restore(machine, backup))["id"])
        assert looked["state"] == "succeeded", looked
        async with hub.client(machine.key.api_key) as own:
            listed = await own.get(f"/api/v2/rvms/{machine.key.id}/backups/{backup}/manifest")
        assert listed.status_code == 200
        lines = list(manifest.read([gzip.decompress(listed.content)]))
        assert sum(isinstance(line, manifest.Entry) and line.kind == "file" for line in lines) == 4
        images = looked["result"]["classes"]["images"]
        assert [images[kind]["count"] for kind in ("replaced", "added", "deleted", "same")] == [1, 1, 1, 2]
        assert looked["result"]["examples"]["deleted"] == ["photos/later.jpg"]
        assert content(photos) == ruined

        asked = await restore(machine, backup, dry_run=False, confirm="Lobby", reason="it went bad")
        assert asked["state"] == "preparing"
        done = await ended(machine, asked["id"])
        assert (done["state"], done["error"]) == ("succeeded", None)
        assert done["result"]["classes"] == {"images": {"count": 4, "bytes": SIZE}}
        assert content(photos) == machine.content
        safety = await machine.verified(asked["safety_backup_id"])
        assert (safety["trigger"], safety["upload_status"]) == ("safety", "verified")

        back = await restore(machine, safety["id"], dry_run=False, confirm="Lobby", safety=False)
        assert (await ended(machine, back["id"]))["state"] == "succeeded"
        assert content(photos) == ruined, "and back again"
        assert "Traceback" not in hub.log + machine.agent.log


@pytest.mark.timeout(180)
async def test_an_encrypted_one_is_restored_by_the_machine_that_made_it(tmp_path: Path) -> None:
    _, recipient = age.make_identity()
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE, backup_public_key=recipient) as machine,
    ):
        photos = tmp_path / "site" / "photos"
        backup = await machine.ask()
        await machine.ended()
        assert (await machine.get(f"/backups/{backup}"))["encrypted"] is True
        async with hub.client(machine.key.api_key) as own:
            listed = await own.get(f"/api/v2/rvms/{machine.key.id}/backups/{backup}/manifest")
        assert (listed.status_code, listed.json()["code"]) == (409, "no_list")
        looked = await ended(machine, (await restore(machine, backup))["id"])
        assert looked["state"] == "succeeded", "read to its end by who can"
        ruin(photos)
        asked = await restore(machine, backup, dry_run=False, confirm="Lobby", safety=False, paths=["photos/1.jpg"])
        assert (await ended(machine, asked["id"]))["state"] == "succeeded"
        assert (photos / "1.jpg").read_bytes() == machine.content["photos/1.jpg"]
        assert (photos / "later.jpg").exists()


@pytest.mark.timeout(180)
async def test_an_agent_that_is_killed_meanwhile_begins_anew_and_reports(tmp_path: Path) -> None:
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, 20 * SIZE) as machine,
    ):
        photos = tmp_path / "site" / "photos"
        backup = await machine.ask()
        await machine.ended()
        ruin(photos)
        asked = await restore(machine, backup, dry_run=False, confirm="Lobby", safety=False)

        async def is_reading() -> bool:
            shown = await machine.get(f"/restores/{asked['id']}")
            return shown["finished_at"] is not None or shown["progress"] is not None

        await until_answered(is_reading, 30)
        await machine.agent.kill()
        await machine.agent.start()
        done = await ended(machine, asked["id"])
        assert done["state"] == "succeeded", done
        assert content(photos) == machine.content
        assert [path.name for path in (tmp_path / "site").iterdir() if path.name.startswith(".myrvm")] == []
