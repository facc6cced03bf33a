"""The key of a stream under way: new at each beginning, and no part of a number but the first that was given out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyrage
import pytest

from archive.errors import ArchiveError
from archive.stream_key import StreamKeyFile

RECIPIENTS = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2)]


def sum_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def begun(path: Path, parts: int) -> StreamKeyFile:
    made = StreamKeyFile.begin(path, RECIPIENTS)
    for number in range(1, parts + 1):
        made.admit(number, sum_of(number))
    return made


def test_each_beginning_has_a_key_of_its_own_for_the_agent_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = begun(path, 3)
    second = begun(path, 0)
    assert first.key.secret != second.key.secret
    assert path.stat().st_mode & 0o777 == 0o600
    second.admit(1, sum_of(7))
    first.close()
    second.close()
    with pytest.raises(ArchiveError, match="another archive") as refused:
        StreamKeyFile.go_on(path, first.key.nonce)
    assert refused.value.code == "interrupted"


def test_a_part_goes_out_once_or_the_same_again(tmp_path: Path) -> None:
    first = begun(tmp_path / "key", 3)
    first.close()
    again = StreamKeyFile.go_on(tmp_path / "key", first.key.nonce)
    assert again.key == first.key
    again.admit(2, sum_of(2))
    for number, other in ((3, 4), (1, 2)):
        with pytest.raises(ArchiveError, match=f"part {number} is another") as refused:
            again.admit(number, sum_of(other))
        assert refused.value.code == "interrupted"
    with pytest.raises(ArchiveError, match="before 5"):
        again.admit(5, sum_of(5))
    again.admit(4, sum_of(4))
    again.close()
    last = StreamKeyFile.go_on(tmp_path / "key", first.key.nonce)
    with pytest.raises(ArchiveError, match="part 4 is another"):
        last.admit(4, sum_of(5))
    last.close()


def test_a_sum_is_on_the_disk_before_its_part_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    made = begun(tmp_path / "key", 0)
    real = os.fdatasync

    def fdatasync(handle: int) -> None:
        real(handle)
        synced.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    before = (tmp_path / "key").stat().st_size
    made.admit(1, sum_of(1))
    made.admit(1, sum_of(1))
    assert synced == [before + 32]
    made.close()


def _torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 9)


def _zeros(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-32] + bytes(32))


def test_a_sum_that_a_power_cut_tore_is_of_a_part_that_never_went(tmp_path: Path) -> None:
    begun(tmp_path / "key", 2).close()
    made = begun(tmp_path / "key", 2)
    made.close()
    _torn(tmp_path / "key")
    again = StreamKeyFile.go_on(tmp_path / "key", made.key.nonce)
    again.admit(1, sum_of(1))
    again.admit(2, sum_of(9))
    again.close()
    _zeros(tmp_path / "key")
    last = StreamKeyFile.go_on(tmp_path / "key", made.key.nonce)
    with pytest.raises(ArchiveError, match="part 2 is another"):
        last.admit(2, sum_of(9))
    last.close()


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[300] = ord("0") if content[300] != ord("0") else ord("1")
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [Path.unlink, _flipped, lambda path: path.write_bytes(b"")])
def test_a_key_that_is_gone_or_damaged_ends_the_stream(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    made = begun(tmp_path / "key", 2)
    made.close()
    harm(tmp_path / "key")
    with pytest.raises(ArchiveError, match="key of this archive") as refused:
        StreamKeyFile.go_on(tmp_path / "key", made.key.nonce)
    assert refused.value.code == "interrupted"


def test_a_process_that_is_not_quite_dead_is_waited_for(tmp_path: Path) -> None:
    made = begun(tmp_path / "key", 1)
    with ThreadPoolExecutor(1) as other:
        opened = other.submit(StreamKeyFile.go_on, tmp_path / "key", made.key.nonce)
        made.admit(2, sum_of(5))
        made.close()
        again = opened.result()
    with pytest.raises(ArchiveError, match="part 2 is another"):
        again.admit(2, sum_of(2))
    again.close()
