"""Small files are either old or new."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device.kernel import state_file


def test_what_was_written_is_read_and_only_by_the_owner(tmp_path: Path) -> None:
    file = tmp_path / "x"
    state_file.write_value(file, {"a": 1})
    assert state_file.read_value(file, dict[str, int]) == {"a": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    assert state_file.read_value(file, dict[str, str]) is None, "not of that kind"
    assert state_file.read_value(tmp_path / "absent", dict[str, int]) is None


def test_damage_at_any_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "x"
    state_file.write_value(file, {"acked": 123456})
    content = file.read_bytes()
    for cut in range(len(content) - 1):
        file.write_bytes(content[:cut])
        assert state_file.read_value(file, dict[str, int]) is None
    for bit in range(9 * 8, (len(content) - 1) * 8):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(broken)
        assert state_file.read_value(file, dict[str, int]) is None


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    state_file.write_value(file, 1)

    def refuse(handle: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no space"):
        state_file.write_value(file, 2)
    assert state_file.read_value(file, int) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
