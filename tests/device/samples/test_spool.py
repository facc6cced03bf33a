"""The spool against a model: whatever is appended, acknowledged, reopened and rebooted, in any order."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from device.kernel import records, state_file
from device.samples.spool import MAX_UNWRITTEN, SampleSpool

BIG = 10**9


def drained(spool: SampleSpool) -> list[tuple[int, bytes]]:
    """Everything of this boot that is not acknowledged."""
    found: list[tuple[int, bytes]] = []
    after = spool.acked()
    while (batch := spool.read(after, 7, BIG)) is not None:
        first = batch.seq - len(batch.payloads) + 1
        found += enumerate(batch.payloads, start=first)
        after = batch.seq
    return found


class SpoolModel(RuleBasedStateMachine):
    """`kept` is what must come back, oldest first: (boot, seq, payload)."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp(prefix="spool"))
        self.boot = 1
        self.kept: list[tuple[str, int, bytes]] = []
        self.given: dict[str, int] = {}
        self.dropped = 0
        self.spool = self.open()

    def open(self) -> SampleSpool:
        return SampleSpool(self.folder, f"boot-{self.boot}", limit=6000, segment_size=700)

    @rule(payload=st.binary(max_size=120).map(lambda b: b.hex().encode()))
    def append(self, payload: bytes) -> None:
        seq = self.spool.append(payload)
        assert seq > self.given.get(self.spool.boot, 0), "numbers grow"
        self.given[self.spool.boot] = seq
        self.kept.append((self.spool.boot, seq, payload))
        gone = self.spool.counters.dropped - self.dropped
        self.dropped += gone
        self.kept = self.kept[gone:]  # drop-oldest, and exactly as many as it says

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        mine = [seq for boot, seq, _ in self.kept if boot == self.spool.boot]
        if not mine:
            return
        seq = mine[int(share * (len(mine) - 1))]
        self.spool.acknowledge(seq)
        self.kept = [k for k in self.kept if k[0] != self.spool.boot or k[1] > seq]

    @rule()
    def acknowledge_what_was_never_given(self) -> None:
        self.spool.acknowledge(BIG)
        self.kept = [k for k in self.kept if k[0] != self.spool.boot]

    @rule()
    def sync(self) -> None:
        self.spool.sync()
        assert self.spool.idle

    @precondition(lambda self: any(boot != self.spool.boot for boot, _, _ in self.kept))
    @rule(limit=st.integers(1, 5))
    def clear_leftovers(self, limit: int) -> None:
        batch = self.spool.read_leftovers(limit, BIG)
        assert batch is not None
        first = batch.seq - len(batch.payloads) + 1
        found = [(batch.boot, seq, payload) for seq, payload in enumerate(batch.payloads, start=first)]
        assert found == self.kept[: len(found)]
        self.spool.acknowledge(batch.seq, batch.boot)
        self.kept = self.kept[len(found) :]

    @rule(orderly=st.booleans(), reboot=st.booleans())
    def start_again(self, orderly: bool, reboot: bool) -> None:
        self.spool.sync() if not orderly else self.spool.close()
        self.boot += reboot
        self.spool = self.open()
        self.dropped = 0
        assert self.spool.counters.damaged == 0

    @invariant()
    def everything_kept_is_there(self) -> None:
        assert drained(self.spool) == [(seq, p) for boot, seq, p in self.kept if boot == self.spool.boot]
        assert self.spool.pending() == len(self.kept)
        assert self.spool.last_seq == self.given.get(self.spool.boot, 0)


SpoolModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpoolModel = SpoolModel.TestCase


def test_a_batch_is_bounded_by_count_by_bytes_and_by_gaps(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b")
    for n in range(10):
        spool.append(b"%d" % n * 10)
    batch = spool.read(0, 3, BIG)
    assert batch is not None
    assert (batch.seq, len(batch.payloads)) == (3, 3)
    batch = spool.read(3, 100, 25)
    assert batch is not None
    assert len(batch.payloads) == 2


def test_damage_makes_the_numbers_start_again_far_above_and_a_batch_never_spans_the_gap(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b")
    for _ in range(10):
        spool.append(b"x")
    spool.close()
    file = sorted(tmp_path.glob("*-1-b.spool"))[0]
    file.write_bytes(file.read_bytes()[:-3])
    again = SampleSpool(tmp_path, "b", floor_seq=500)
    assert again.append(b"after a gap") == 500
    assert [batch.seq for after in (0, 9) if (batch := again.read(after, 100, BIG))] == [9, 500]


def test_each_life_begins_its_numbers_above_those_of_an_agent_that_had_another_folder_meanwhile(tmp_path: Path) -> None:
    service = SampleSpool(tmp_path / "service", "b", floor_seq=1000)
    assert [service.append(b"x") for _ in range(2)] == [1000, 1001]
    service.close()
    by_hand = SampleSpool(tmp_path / "by-hand", "b", floor_seq=60_000)
    assert by_hand.append(b"x") == 60_000
    again = SampleSpool(tmp_path / "service", "b", floor_seq=120_000)
    assert again.append(b"x") == 120_000


def test_numbers_never_repeat_even_when_the_folder_was_lost(tmp_path: Path) -> None:
    first = SampleSpool(tmp_path / "a", "b", floor_seq=1000)
    assert first.append(b"x") == 1000
    wiped = SampleSpool(tmp_path / "b", "b", floor_seq=5000)
    assert wiped.append(b"x") == 5000


def test_numbers_never_repeat_when_everything_was_acknowledged_and_removed(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b")
    seq = [spool.append(b"x") for _ in range(3)][-1]
    spool.acknowledge(seq)
    spool.close()
    again = SampleSpool(tmp_path, "b")
    assert not list(tmp_path.glob("*.spool")), "a finished file is tidied away"
    assert again.append(b"x") == seq + 1


def test_a_damaged_position_costs_repetition_and_nothing_else(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b")
    for _ in range(5):
        spool.append(b"x")
    spool.acknowledge(3)
    spool.close()
    position = tmp_path / "position"
    position.write_bytes(position.read_bytes().replace(b'"b":3', b'"b":4'))
    again = SampleSpool(tmp_path, "b")
    assert [seq for seq, _ in drained(again)] == [1, 2, 3, 4, 5]


class FullDisk:
    """Plays a disk that takes `room` more bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**9
        self.error = errno.ENOSPC
        real = os.write

        def write(handle: int, data: bytes) -> int:
            if len(data) <= self.room:
                self.room -= len(data)
                return real(handle, data)
            if self.room > 0:
                taken, self.room = self.room, 0
                return real(handle, data[:taken])
            raise OSError(self.error, "no")

        monkeypatch.setattr("device.samples.spool_files.os.write", write)


def test_a_full_disk_keeps_the_newest_in_memory_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)
    spool = SampleSpool(tmp_path, "b")
    spool.append(b"first")
    disk.room = 10  # half a record
    for n in range(5):
        spool.append(b"full %d" % n)
    assert not spool.idle
    assert len(drained(spool)) == 6, "what the disk refuses can still be read and sent"
    disk.room = 10**9
    spool.sync()
    assert spool.idle
    spool.close()
    again = SampleSpool(tmp_path, "b")
    assert [payload for _, payload in drained(again)] == [b"first", *(b"full %d" % n for n in range(5))]
    assert (again.counters.damaged, spool.counters.dropped) == (0, 0)
    records_size = sum(len(records.pack(seq, payload)) for seq, payload in drained(again))
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) == records_size, "no torn record stays behind"


def test_what_only_memory_holds_is_freed_by_its_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    spool = SampleSpool(tmp_path, "b")
    disk.room = 0
    for _ in range(4):
        spool.append(b"x")
    spool.acknowledge(3)
    assert drained(spool) == [(4, b"x")]
    assert spool.pending() == 1


def test_a_full_disk_gives_up_the_oldest_file_to_keep_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    spool = SampleSpool(tmp_path, "b", segment_size=200)
    for n in range(30):
        spool.append(b"%03d" % n)
    held = {path: path.stat().st_size for path in tmp_path.glob("*.spool")}
    disk.room = 0
    real_unlink = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        disk.room += held.get(path, 0)
        real_unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    spool.append(b"new")
    assert drained(spool)[-1][1] == b"new"
    assert spool.counters.dropped == 30 + 1 - len(drained(spool)) > 0
    assert spool.idle is False or spool.pending() == len(drained(spool))


def test_a_broken_disk_is_no_reason_to_drop_what_is_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)
    spool = SampleSpool(tmp_path, "b", segment_size=200)
    for n in range(30):
        spool.append(b"%03d" % n)
    disk.room, disk.error = 0, errno.EIO
    for _ in range(MAX_UNWRITTEN + 5):
        spool.append(b"new")
    assert spool.counters.dropped == 5, "only what memory cannot hold"
    assert len(drained(spool)) == 30 + MAX_UNWRITTEN


def test_the_limit_holds(tmp_path: Path) -> None:
    spool = SampleSpool(tmp_path, "b", limit=20_000, segment_size=1000)
    for n in range(2000):
        spool.append(b"%06d" % n)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) <= 20_000
    assert spool.counters.dropped + spool.pending() == 2000
    assert drained(spool)[-1][1] == b"001999"


def test_a_position_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    spool = SampleSpool(tmp_path, "b")
    spool.append(b"x")
    monkeypatch.setattr(state_file, "write_value", refuse)
    spool.sync()
    assert not spool.idle
    assert spool.counters.write_errors == 1
    monkeypatch.undo()
    spool.sync()
    assert spool.idle
