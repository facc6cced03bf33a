"""Encrypted archives that a pump makes: who reads them, and going on behind each part under the same key or another."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pyrage
import pytest

from archive.errors import ArchiveError
from archive.manifest import Compression
from archive.pump import PART_SIZE, ArchivePart, Pump
from device.backups.scan import scan
from tests.support.backup_archives import archive_of, header, read
from tests.support.file_trees import five_parts, one_of_everything

SHIFT = b"Machine 7 pressed 1,204 bottles.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return one_of_everything(tmp_path / "tree")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return five_parts(tmp_path / "large")


def test_an_encrypted_archive_is_read_by_each_key(tree: Path, tmp_path: Path) -> None:
    keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
    scan(header({"data": tree}, encrypted=True), tmp_path / "work", None)
    pump = Pump(tmp_path / "work", {"data": tree}, recipients=[str(key.to_public()) for key in keys])
    sent = b"".join(part.data for part in pump.parts())
    assert SHIFT not in sent
    for key in keys:
        opened = pyrage.decrypt(sent, [key])
        assert read(opened).contents["data/sub/" + "long-" * 20 + "/" + "name" * 30 + "/leaf.txt"] == SHIFT
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sent, [pyrage.x25519.Identity.generate()])


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_an_encrypted_one_goes_on_behind_every_part_with_the_same_bytes(
    large: Path, tmp_path: Path, compression: Compression
) -> None:
    key = pyrage.x25519.Identity.generate()
    scan(header({"data": large}, encrypted=True), tmp_path / "work", None)

    def pump() -> Pump:
        return Pump(tmp_path / "work", {"data": large}, compression=compression, recipients=[str(key.to_public())])

    parts = list(pump().parts())
    assert len(parts) >= 4
    assert all(part.checkpoint is not None and len(part.checkpoint) < 1_400_000 for part in parts[:-1])
    for part in parts[:-1]:
        assert [p[:4] for p in pump().parts(part.checkpoint)] == [p[:4] for p in parts[part.number :]]
    plain = archive_of(tmp_path / "work", {"data": large}, compression=compression).data
    assert pyrage.decrypt(b"".join(part.data for part in parts), [key]) == plain


def test_a_new_process_for_each_part_makes_the_same_encrypted_archive(large: Path, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    scan(header({"data": large}, encrypted=True), tmp_path / "work", None)
    made, part = b"", ArchivePart(0, b"", "", False, None)
    while not part.last:
        pump = Pump(tmp_path / "work", {"data": large}, workers=2, recipients=[str(key.to_public())])
        with contextlib.closing(pump.parts(part.checkpoint)) as parts:
            part = next(parts)
            made += part.data
            for _ in zip(range(2), parts, strict=False):
                pass  # it is ahead when it is killed: what it gave out meanwhile must come again
    assert pyrage.decrypt(made, [key]) == archive_of(tmp_path / "work", {"data": large}).data


def test_every_length_of_the_last_part_goes_on_in_an_encrypted_one(tmp_path: Path) -> None:
    """A part that is full to within the last chunk, which nobody goes on from: the one before is."""
    key = pyrage.x25519.Identity.generate()
    root = tmp_path / "root"
    root.mkdir()
    found = set()
    for size in (PART_SIZE - 70_000, *range(PART_SIZE - 15_000, PART_SIZE + 1, 3_000)):
        (root / "video").write_bytes(random.Random(size).randbytes(size))
        scan(header({"data": root}, encrypted=True), tmp_path / "work", None)
        pump = Pump(tmp_path / "work", {"data": root}, compression="none", recipients=[str(key.to_public())])
        parts = list(pump.parts())
        plain = archive_of(tmp_path / "work", {"data": root}, compression="none").data
        assert pyrage.decrypt(b"".join(part.data for part in parts), [key]) == plain
        assert pump.summary.size == sum(len(part.data) for part in parts)
        found.add((len(parts), parts[0].checkpoint is None))
    assert found == {(1, True), (2, True), (2, False)}, found


def test_sources_that_changed_under_a_part_that_may_have_gone_end_an_encrypted_one(tmp_path: Path) -> None:
    """Their parts would join what was sent under the same key and nonces: none of them comes out."""
    root, key = tmp_path / "root", str(pyrage.x25519.Identity.generate().to_public())
    root.mkdir()
    video = root / "video"
    video.write_bytes(random.Random(3).randbytes(40_000_000))
    scan(header({"data": root}, encrypted=True), tmp_path / "work", None)

    def pump() -> Pump:
        return Pump(tmp_path / "work", {"data": root}, compression="none", recipients=[key])

    with contextlib.closing(pump().parts()) as parts:
        taken = [next(parts) for _ in range(4)]
    with video.open("r+b") as file:
        file.seek(30_000_000)
        file.write(SHIFT)  # within the fourth part
    rest = pump().parts(taken[0].checkpoint)
    assert isinstance(taken[0].checkpoint, bytes)
    with pytest.raises(ArchiveError, match="part 2 is another") as refused:
        list(rest)
    assert refused.value.code == "interrupted"
    again = list(pump().parts(taken[3].checkpoint))
    assert again[0].number == 5, "behind what went, nothing was sent: it may be what it is now"


def test_an_encrypted_one_without_its_key_begins_anew_with_another(tmp_path: Path, large: Path) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    scan(header({"data": large}, encrypted=True), tmp_path / "work", None)
    first = next(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts())
    with pytest.raises(ArchiveError, match="encrypted or compressed otherwise"):
        next(Pump(tmp_path / "work", {"data": large}).parts(first.checkpoint))
    other = next(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts())
    assert other.data[300:] != first.data[300:]
    with pytest.raises(ArchiveError, match="another archive has begun"):
        next(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts(first.checkpoint))
    (tmp_path / "work" / "key").unlink()
    with pytest.raises(ArchiveError, match="not there"):
        next(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts(other.checkpoint))
    plain = next(Pump(tmp_path / "work", {"data": large}).parts())
    with pytest.raises(ArchiveError, match="encrypted or compressed otherwise"):
        next(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts(plain.checkpoint))


def test_an_encrypted_archive_may_be_given_up_and_says_what_is_wrong(large: Path, tmp_path: Path) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    scan(header({"data": large}), tmp_path / "work", None)
    parts = Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts()
    next(parts)
    parts.close()
    with pytest.raises(ArchiveError, match="no age public key"):
        next(Pump(tmp_path / "work", {"data": large}, recipients=["age1nobody"]).parts())
    (tmp_path / "work" / "plan.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ArchiveError, match="manifest"):
        list(Pump(tmp_path / "work", {"data": large}, recipients=[key]).parts())
