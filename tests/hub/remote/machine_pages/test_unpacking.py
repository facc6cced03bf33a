"""A page that comes packed: unpacked a little at a time, and never taken for whole when it is not."""

from __future__ import annotations

import gzip
import zlib

import pytest

from hub.remote.machine_pages.proxy_request import PageRefused
from hub.remote.machine_pages.rewriting import PIECE, Unpacking


def unpacked(data: bytes, size: int) -> list[bytes]:
    unpacking, pieces = Unpacking(), []
    for at in range(0, len(data), size):
        pieces.append(unpacking.feed(data[at : at + size]))
        while unpacking.pending:
            pieces.append(unpacking.more())
    unpacking.end()
    return pieces


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("size", [1, 1000, 1_000_000])
def test_a_megabyte_in_a_kilobyte_comes_in_pieces(pack: type[bytes], size: int) -> None:
    pieces = unpacked(pack(b"x" * 1_000_000), size)
    assert b"".join(pieces) == b"x" * 1_000_000
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("data", [b"", b"<html>", gzip.compress(b"x" * 1000)[:-4]], ids=["nothing", "plain", "cut"])
def test_what_is_not_whole_or_not_packed_is_refused(data: bytes) -> None:
    with pytest.raises(PageRefused):
        unpacked(data, 100)
