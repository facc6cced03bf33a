"""Kept backups fetched and compared on the machine; encrypted ones, which only it and the operator can read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from device.backups.control import FOLDER, IDENTITY
from device.commands.jobs import WorkFailedError
from tests.device.backups.client_bench import MIB, ClientBench, client_bench
from tests.device.backups.test_service import unpacked


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ClientBench]:
    with client_bench(tmp_path) as made:
        yield made


async def test_a_chain_is_fetched_replayed_and_compared(bench: ClientBench) -> None:
    bench.fill("a.jpg", 3 * MIB), bench.fill("b.jpg", 1000, 2)
    await bench.back_up(1)
    bench.fill("b.jpg", 2000, 3)
    await bench.back_up(2, "incremental")
    bench.hub.cut_download_after = MIB
    result = await bench.verify(2)
    assert (result["backup_id"], result["chain"], result["files"]) == (2, [1, 2], 2)
    assert result["bytes"] == 3 * MIB + 2000
    assert max(bench.hub.ranges) > 0, "what broke off went on where it was"
    assert not (bench.settings.state_dir / FOLDER / "2").exists()


async def test_a_kept_one_that_was_given_to_the_hub_again_is_compared_as_well(bench: ClientBench) -> None:
    """It has another number there than it says. One that needs others is another matter."""
    bench.fill("a.jpg", MIB)
    await bench.back_up(1)
    bench.fill("b.jpg", 1000)
    await bench.back_up(2, "incremental")
    for kept, again in ((1, 8), (2, 9)):
        bench.hub.backups[again] = bench.hub.backup(kept)
    assert (await bench.verify(8))["chain"] == [8]
    with pytest.raises(WorkFailedError, match="the archive of backup 2") as found:
        await bench.verify(9)
    assert found.value.failure.code == "archive_damaged"


async def test_what_the_hub_says_of_an_archive_that_it_lost_is_passed_on(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    await bench.back_up(1)
    bench.hub.refusals["archive"] = [(409, "backup_lost")]
    with pytest.raises(WorkFailedError, match="archive of backup 1 cannot be fetched: refused: backup_lost") as found:
        await bench.verify(1)
    assert found.value.failure.code == "hub_refused"


async def test_a_damaged_one_is_found(bench: ClientBench) -> None:
    bench.fill("a.jpg", MIB)
    await bench.back_up(1)
    (part,) = bench.hub.backup(1).parts.values()
    bench.hub.backup(1).parts[1] = part[: MIB // 2] + bytes([part[MIB // 2] ^ 1]) + part[MIB // 2 + 1 :]
    with pytest.raises(WorkFailedError) as found:
        await bench.verify(1)
    assert found.value.failure.code == "archive_damaged"


async def test_an_encrypted_one_is_read_by_the_operator_and_by_the_machine_alone(bench: ClientBench) -> None:
    operator = pyrage.x25519.Identity.generate()
    bench.set(backup_public_key=str(operator.to_public()))
    file = bench.fill("a.jpg", MIB)
    await bench.back_up(1)
    backup = bench.hub.backup(1)
    assert backup.begun[0]["encrypted"]
    assert backup.archive.startswith(b"age-encryption.org/v1")
    plain = io.BytesIO()
    pyrage.decrypt_io(io.BytesIO(backup.archive), plain, [operator])
    assert unpacked(plain.getvalue()) == {"photos/a.jpg": file.read_bytes()}
    identity = bench.settings.state_dir / IDENTITY
    assert identity.stat().st_mode & 0o777 == 0o600
    assert (await bench.verify(1))["files"] == 1
    identity.unlink()
    with pytest.raises(WorkFailedError) as found:
        await bench.verify(1)
    assert found.value.failure.code == "wrong_key"
