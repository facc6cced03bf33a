"""Records on disk that differ from damage: marker, length, checksum, number, bytes. The marker cannot occur in
UTF-8, so the next intact record is found by searching it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("<4sIIQ")
_NUMBERED: Final = struct.Struct("<IQ")
MARKER: Final = b"\xd7RV1"
OVERHEAD: Final = _HEADER.size
MAX_PAYLOAD: Final = 64 * 1024


class Record(NamedTuple):
    seq: int
    payload: bytes
    end: int


def pack(seq: int, payload: bytes) -> bytes:
    return _HEADER.pack(MARKER, len(payload), _checksum(seq, payload), seq) + payload


def scan(data: bytes, start: int = 0) -> Iterator[Record]:
    """Yield the intact records from `start` on, in order."""
    position = start
    while True:
        position = data.find(MARKER, position)
        if position < 0 or position + OVERHEAD > len(data):
            return
        _, length, checksum, seq = _HEADER.unpack_from(data, position)
        end = position + OVERHEAD + length
        if length <= MAX_PAYLOAD and end <= len(data):
            payload = data[position + OVERHEAD : end]
            if _checksum(seq, payload) == checksum:
                yield Record(seq, payload, end)
                position = end
                continue
        position += 1


def _checksum(seq: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_NUMBERED.pack(len(payload), seq)))
