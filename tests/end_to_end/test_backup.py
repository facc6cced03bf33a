"""A machine backed up with nothing played: agent, hub, drill. A chain of it, read again by plain means."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pyrage
import pytest

from tests.support.backed_up_machine import backed_up_machine, unpacked
from tests.support.forked_hub import forked_hub
from tests.support.until import until_answered

SIZE = 2_000_000


@pytest.mark.timeout(180)
async def test_a_chain_is_made_uploaded_drilled_and_read_by_tar(tmp_path: Path) -> None:
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, SIZE) as machine:
        first = await machine.ask("incremental")
        status = await machine.ended()
        await machine.check(first, status)
        assert (await machine.verified(first))["upload_status"] == "verified"
        assert status["backup_type"] == "full", "there was nothing to build on"

        photos = tmp_path / "site" / "photos"
        (photos / "new.jpg").write_bytes(b"one more")
        (photos / "0.jpg").unlink()
        second = await machine.ask("incremental")
        assert (await machine.verified(second))["upload_status"] == "verified", "the chain was replayed"
        shown = await machine.get(f"/backups/{second}")
        assert (shown["backup_type"], shown["parent_id"], shown["deleted_entries"]) == ("incremental", first, 1)
        assert shown["files"] == 1
        assert unpacked(await machine.archive(second)) == {"photos/new.jpg": b"one more"}
        (tmp_path / "second.tar.gz").write_bytes(await machine.archive(second))
        listed = subprocess.run(["tar", "tzf", "second.tar.gz"], cwd=tmp_path, capture_output=True, check=True)  # noqa: ASYNC221
        assert b"photos/new.jpg\n" in listed.stdout
        assert "Traceback" not in hub.log + machine.agent.log


@pytest.mark.timeout(120)
async def test_a_cancelled_backup_ends_on_both_sides(tmp_path: Path) -> None:
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE, backup_rate=200) as machine,
    ):
        await machine.ask()
        await machine.reports("sending")
        command = (await machine.status())["command"]
        async with hub.client() as client:
            answer = await client.post(f"/api/v2/commands/{command['id']}/cancel")
        assert answer.status_code in (200, 202), answer.text
        status = await machine.ended(20)
        assert (status["upload_status"], status["backup"]["error"]["code"]) == ("failed", "cancelled")
        second = await machine.ask()
        assert second > status["backup_id"], "the next one may begin"


@pytest.mark.timeout(180)
async def test_an_encrypted_one_is_verified_by_the_machine_itself(tmp_path: Path) -> None:
    """The hub keeps what it cannot read, and asks the machine to check it."""
    operator = pyrage.x25519.Identity.generate()
    async with (
        forked_hub(tmp_path) as hub,
        backed_up_machine(tmp_path / "site", hub, SIZE, backup_public_key=str(operator.to_public())) as machine,
    ):
        backup_id = await machine.ask()
        shown = await machine.verified(backup_id, 90)
        assert (shown["upload_status"], shown["encrypted"]) == ("verified", True)
        plain = io.BytesIO()
        pyrage.decrypt_io(io.BytesIO(await machine.archive(backup_id)), plain, [operator])
        assert unpacked(plain.getvalue()) == machine.content
        assert "Traceback" not in hub.log + machine.agent.log


@pytest.mark.timeout(180)
async def test_a_kept_archive_given_to_the_hub_again_is_verified_and_restored(tmp_path: Path) -> None:
    """As after the hub's loss: whatever is shown as verified can be brought back."""
    async with forked_hub(tmp_path) as hub, backed_up_machine(tmp_path / "site", hub, SIZE) as machine:
        first = await machine.ask()
        await machine.ended()
        place, files = f"/api/v2/rvms/{machine.key.id}", {"file": await machine.archive(first)}
        async with hub.client() as client:
            again = (await client.post(f"{place}/backup/upload", files=files)).json()["data"]["id"]
            assert (await machine.verified(again))["upload_status"] == "verified"
            photo = tmp_path / "site" / "photos" / "1.jpg"
            photo.unlink()
            asked = {"dry_run": False, "confirm": "Lobby", "safety": False}
            answer = await client.post(f"{place}/backups/{again}/restore", json=asked)
            assert answer.status_code == 202, answer.text

        async def is_over() -> bool:
            found = await machine.get(f"/restores/{answer.json()['data']['id']}")
            assert found["state"] != "failed", found["error"]
            return bool(found["state"] == "succeeded")

        await until_answered(is_over, 90)
        assert photo.read_bytes() == machine.content["photos/1.jpg"]
