"""Which index the next backup goes on from: only one whose backup the hub called good."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.backups import index as index_module
from device.backups.index import Indexes
from device.backups.scan import scan
from tests.support.backup_archives import archive_of, header


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").touch()
    return tmp_path / "root"


def sent(tmp_path: Path, root: Path, indexes: Indexes, *chain: int, vanish: bool = False) -> bool:
    made = header({"data": root}, chain)
    if vanish:
        (root / "gone").touch()
    scan(made, tmp_path / "work", indexes.latest if len(chain) > 1 else None)
    if vanish:
        (root / "gone").unlink()
    archive_of(tmp_path / "work", {"data": root})
    return indexes.stage(tmp_path / "work", made)


def test_a_backup_counts_only_once_the_hub_has_confirmed_it(tmp_path: Path, root: Path) -> None:
    indexes = Indexes(tmp_path / "indexes")
    assert (indexes.latest, indexes.meta) == (None, None)
    assert sent(tmp_path, root, indexes, 1)
    assert indexes.latest is None
    assert indexes.promote(1)
    meta = Indexes(tmp_path / "indexes").meta
    assert meta is not None
    assert (meta.backup_id, meta.chain) == (1, (1,))
    assert sent(tmp_path, root, indexes, 1, 2)
    assert indexes.meta == meta
    indexes.discard(2)
    assert not indexes.promote(2)
    assert sent(tmp_path, root, indexes, 1, 3)
    assert indexes.promote(3)
    assert indexes.meta is not None
    assert indexes.meta.chain == (1, 3), "what came to nothing is in no chain"
    assert len(list((tmp_path / "indexes").iterdir())) == 2


def test_one_backup_at_a_time_waits_for_the_hub(tmp_path: Path, root: Path) -> None:
    indexes = Indexes(tmp_path / "indexes")
    sent(tmp_path, root, indexes, 1)
    sent(tmp_path, root, indexes, 2)
    assert not indexes.promote(1)
    assert indexes.promote(2)
    assert not indexes.promote(2)


def test_what_is_not_in_it_as_it_was_is_remembered(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes = Indexes(tmp_path / "indexes")
    assert sent(tmp_path, root, indexes, 1, vanish=True)
    indexes.promote(1)
    assert indexes.meta is not None
    assert indexes.meta.redo == ("data/gone",)
    monkeypatch.setattr(index_module, "MAX_REDO", 0)
    assert not sent(tmp_path, root, indexes, 2, vanish=True), "too much is missing: the one before stays"
    assert not indexes.promote(2)
    assert indexes.meta.backup_id == 1


def test_a_lost_or_damaged_index_makes_the_next_backup_full(tmp_path: Path, root: Path) -> None:
    indexes = Indexes(tmp_path / "indexes")
    for damage in ("json", "index", "clear"):
        sent(tmp_path, root, indexes, 1)
        assert indexes.promote(1)
        latest = indexes.latest
        assert latest is not None
        if damage == "clear":
            indexes.clear()
        elif damage == "json":
            (tmp_path / "indexes" / "latest.json").write_bytes(b"{")
        else:
            latest.unlink()
        assert (indexes.latest, indexes.meta) == (None, None)
