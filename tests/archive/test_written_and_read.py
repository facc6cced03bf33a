"""What the writing half makes, the reading half restores: every kind of thing, and whole chains."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyrage
import pytest

from archive import manifest
from archive.errors import ArchiveError
from archive.manifest import Compression
from archive.pump import Pump
from archive.replay import ChainLink, Replayed, replay
from device.backups import scan as scan_module
from device.backups import walk
from device.backups.scan import scan
from tests.support.backup_archives import Machine, archive_of, header, picture
from tests.support.file_trees import one_of_everything, shake


def restored(folder: Path, archives: Sequence[bytes], identities: Sequence[str] = ()) -> Replayed:
    """Unpacked and compared, as a drill does."""
    work = folder.with_name(folder.name + "-work")
    for made in (folder, work):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, root)
        links = [ChainLink(partial(io.BytesIO, data), len(data)) for data in archives]
        return replay(links, root, work, identities=identities)


def contents(root: Path) -> dict[str, object]:
    """Kinds, contents and links; a drill gives no owners, modes and times."""
    return {path: (mode[2:-4], size, what) for path, (mode, size, _, what) in picture(root).items()}


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_everything_comes_back(tmp_path: Path, compression: Compression) -> None:
    root = one_of_everything(tmp_path / "root")
    scan(header({"data": root}), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": root}, compression=compression, workers=2)
    done = restored(tmp_path / "out", [made.data])
    assert contents(tmp_path / "out" / "data") == contents(root)
    assert (done.compared.files, done.compared.bytes) == (made.summary.files, made.summary.bytes)
    assert (tmp_path / "out/data/log").stat().st_ino == (tmp_path / "out/data/log.same").stat().st_ino


def test_an_encrypted_one_comes_back_with_one_key_and_with_no_other(tmp_path: Path) -> None:
    root = one_of_everything(tmp_path / "root")
    own, operators = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    recipients = [str(key.to_public()) for key in (own, operators)]
    scan(header({"data": root}, encrypted=True), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": root}, recipients=recipients).data
    for key in (own, operators):
        restored(tmp_path / "out", [made], [str(key)])
        assert contents(tmp_path / "out" / "data") == contents(root)
    with pytest.raises(ArchiveError) as refused:
        restored(tmp_path / "out", [made], [str(pyrage.x25519.Identity.generate())])
    assert refused.value.code == "wrong_key"


def test_every_chain_comes_back_as_the_folder_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "LARGE", 12)
    monkeypatch.setattr(walk, "BUCKETS", 4)
    monkeypatch.setattr(scan_module, "BUCKETS", 4)
    for seed in range(4, 8):
        dice = random.Random(seed)
        root = tmp_path / str(seed) / "root"
        root.mkdir(parents=True)
        machine, archives = Machine(tmp_path / str(seed), {"data": root}), list[bytes]()
        for turn in range(6):
            shake(root, dice)
            archives.append(machine.back_up().data)
            restored(tmp_path / "out", archives)
            assert contents(tmp_path / "out" / "data") == contents(root), (seed, turn)


@pytest.mark.parametrize("happens", ["written", "shorter", "gone", "a folder", "a link"])
def test_what_changed_while_the_agent_was_away_comes_back(tmp_path: Path, happens: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    video = root / "video"
    video.write_bytes(random.Random(3).randbytes(20_000_000))
    os.link(video, root / "video.same")
    scan(header({"data": root}), tmp_path / "work", None)
    parts = Pump(tmp_path / "work", {"data": root}).parts()
    first = next(parts)
    parts.close()
    if happens == "written":
        video.write_bytes(random.Random(4).randbytes(19_000_000))
    elif happens == "shorter":
        video.write_bytes(b"short")
    else:
        video.unlink()
        if happens == "a folder":
            video.mkdir()
        elif happens == "a link":
            video.symlink_to("nowhere")
    rest = b"".join(part.data for part in Pump(tmp_path / "work", {"data": root}).parts(first.checkpoint))
    restored(tmp_path / "out", [first.data + rest])
    back = contents(tmp_path / "out" / "data")
    if happens == "gone":
        assert back.pop("video") == ("10", 0, b""), "it began, so it is there, and empty"
    assert back == contents(root)


def test_what_vanished_of_an_incremental_stays_as_the_parent_had_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"one")
    machine = Machine(tmp_path, {"data": root})
    full = machine.back_up().data
    (root / "a").write_bytes(b"two, longer")
    made = header({"data": root}, (1, 2))
    scan(made, tmp_path / "two", machine.indexes.latest)
    (root / "a").unlink()
    incremental = archive_of(tmp_path / "two", {"data": root})
    assert incremental.summary.report.counts == {"vanished": 1}
    restored(tmp_path / "out", [full, incremental.data])
    assert (tmp_path / "out/data/a").read_bytes() == b"one"


def test_the_plan_is_a_manifest_that_is_read(tmp_path: Path) -> None:
    root = one_of_everything(tmp_path / "root")
    scan(header({"data": root}), tmp_path / "work", None)
    lines = list(manifest.read([(tmp_path / "work" / "plan.jsonl").read_bytes()], is_plan=True))
    assert len(lines) > 10


def test_what_was_listed_ahead_of_a_checkpoint_does_not_count(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(random.Random(5).randbytes(9_000_000))
    for number in range(50):
        (root / f"b{number}").write_bytes(b"soon gone")
    scan(header({"data": root}), tmp_path / "work", None)
    parts = list(Pump(tmp_path / "work", {"data": root}).parts())  # to the end, and killed before it was sent
    for number in range(50):
        (root / f"b{number}").unlink()
    again = Pump(tmp_path / "work", {"data": root})
    rest = b"".join(part.data for part in again.parts(parts[0].checkpoint))
    done = restored(tmp_path / "out", [parts[0].data + rest])
    assert (done.compared.files, again.summary.report.counts) == (1, {"vanished": 50})
