"""Damage to a spool's files: cut at every byte, flip a bit in every record; only what is hit is lost, and counted."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from device.kernel import records
from device.samples.spool import SampleSpool
from tests.device.samples.test_spool import drained


def filled(folder: Path, count: int, segment_size: int = 0) -> list[Path]:
    spool = SampleSpool(folder, "b", segment_size=segment_size)
    for n in range(1, count + 1):
        spool.append(b"sample %d" % n)
    spool.close()
    return sorted(folder.glob("*.spool"))


def test_truncated_at_every_byte(tmp_path: Path) -> None:
    (file,) = filled(tmp_path / "whole", 40)
    content = file.read_bytes()
    ends = [record.end for record in records.scan(content)]
    for length in range(len(content)):
        folder = tmp_path / "cut"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / file.name).write_bytes(content[:length])
        spool = SampleSpool(folder, "b")
        intact = sum(end <= length for end in ends)
        assert [seq for seq, _ in drained(spool)] == list(range(1, intact + 1))
        assert spool.counters.damaged == 40 - intact
        assert spool.append(b"next") == 41
        shutil.rmtree(folder)


def test_truncated_before_it_was_ever_synced_counts_the_torn_record(tmp_path: Path) -> None:
    (file,) = filled(tmp_path, 3)
    (tmp_path / "position").unlink()
    file.write_bytes(file.read_bytes()[:-1])
    spool = SampleSpool(tmp_path, "b")
    assert spool.counters.damaged == 1
    assert spool.append(b"next") == 4, "the number of a torn record is not given out again"


def test_a_file_in_the_middle_cut_short_is_counted_exactly(tmp_path: Path) -> None:
    files = filled(tmp_path, 60, segment_size=500)
    assert len(files) > 3
    middle = files[1]
    lost = sum(1 for _ in records.scan(middle.read_bytes()))
    middle.write_bytes(b"")
    spool = SampleSpool(tmp_path, "b")
    assert spool.counters.damaged == lost
    assert len(drained(spool)) == 60 - lost


def test_one_flipped_bit_in_each_record(tmp_path: Path) -> None:
    (file,) = filled(tmp_path / "whole", 30)
    content = file.read_bytes()
    dice = random.Random(7)
    start = 0
    for number, record in enumerate(records.scan(content), start=1):
        broken = bytearray(content)
        broken[dice.randrange(start, record.end)] ^= 1 << dice.randrange(8)
        start = record.end
        folder = tmp_path / "flip"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / file.name).write_bytes(broken)
        spool = SampleSpool(folder, "b")
        assert [seq for seq, _ in drained(spool)] == [n for n in range(1, 31) if n != number]
        assert spool.counters.damaged == 1
        shutil.rmtree(folder)


@pytest.mark.parametrize("rubbish", [b"", b"\0" * 5000, b"\xd7RV1" * 800, b"x"])
def test_rubbish_in_the_folder_is_no_reason_to_fail(tmp_path: Path, rubbish: bytes) -> None:
    filled(tmp_path, 5)
    (tmp_path / "0000000009-s-100-b.spool").write_bytes(rubbish)
    (tmp_path / "notes.spool").write_bytes(rubbish)
    (tmp_path / "position").write_bytes(rubbish)
    (tmp_path / "0000000010-s-1-b.spool").mkdir()
    spool = SampleSpool(tmp_path, "b")
    assert [seq for seq, _ in drained(spool)] == [1, 2, 3, 4, 5]
    spool.append(b"goes on")
    assert drained(spool)[-1][1] == b"goes on"


def test_a_file_removed_behind_our_back_costs_its_records(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b", segment_size=300)
    for n in range(40):
        spool.append(b"%d" % n)
    sorted(tmp_path.glob("*.spool"))[0].unlink()
    assert 0 < len(drained(spool)) < 40
    spool.acknowledge(spool.last_seq)
    assert spool.pending() == 0
