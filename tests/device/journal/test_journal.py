"""The journal: what was appended is there after any end of the process; damage costs facts, never the journal."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from device.journal import keeper as journal_module
from device.journal.keeper import Journal
from device.journal.rules import Fact
from device.kernel import records
from device.status.rules import MachineState
from protocol.messages import CommandUpdate


def fact(n: int) -> Fact:
    return Fact(at=float(n), answered=CommandUpdate(id=f"c{n}", state="succeeded"), state=MachineState(seq=n))


def opened(path: Path) -> tuple[Journal, list[Fact]]:
    journal = Journal(path)
    return journal, journal.load()


def filled(path: Path, count: int) -> Journal:
    journal, _ = opened(path)
    for n in range(count):
        journal.append(fact(n))
    return journal


def test_facts_come_back_in_order(tmp_path: Path) -> None:
    filled(tmp_path / "j", 5)
    journal, facts = opened(tmp_path / "j")
    assert facts == [fact(n) for n in range(5)]
    assert not journal.damaged
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_truncated_at_every_byte_it_keeps_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "j"
    filled(path, 6)
    content = path.read_bytes()
    ends = [record.end for record in records.scan(content)]
    for length in range(len(content)):
        path.write_bytes(content[:length])
        journal, facts = opened(path)
        assert facts == [fact(n) for n in range(sum(end <= length for end in ends))]
        assert journal.damaged == (length not in (0, *ends))
        journal.append(fact(99))
        assert opened(path)[1][-1] == fact(99), "it goes on behind the damage"


def test_a_fact_the_disk_did_not_take_did_not_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    journal = filled(path, 2)
    before = path.read_bytes()

    def refuse(handle: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(journal_module.os, "fsync", refuse)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="no"):
        journal.append(fact(3))
    assert path.read_bytes() == before
    monkeypatch.undo()
    journal.append(fact(4))
    assert opened(path)[1] == [fact(0), fact(1), fact(4)]


def test_rewriting_replaces_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = filled(path, 50)
    journal.rewrite([fact(7)])
    journal.append(fact(8))
    again, facts = opened(path)
    assert facts == [fact(7), fact(8)]
    assert not again.damaged


def test_a_long_journal_asks_to_be_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LEAST_REWRITE_BYTES", 2000)
    journal, _ = opened(tmp_path / "j")
    assert not journal.is_long
    while not journal.is_long:
        journal.append(fact(1))
    assert (tmp_path / "j").stat().st_size > 2000


def test_a_record_that_is_no_fact_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(records.pack(1, b"[]") + records.pack(2, b'{"at":1.0,"status":"new member"}'))
    journal, facts = opened(path)
    assert facts == [Fact(at=1.0)]
    assert journal.damaged
