"""Records on disk: what was packed comes back; what is damaged is stepped over and nothing else is."""

from __future__ import annotations

import bisect
import itertools

from hypothesis import given
from hypothesis import strategies as st

from device.kernel import records

PAYLOADS = st.lists(st.binary(max_size=200).filter(lambda b: records.MARKER not in b), max_size=12)


def packed(payloads: list[bytes]) -> list[bytes]:
    return [records.pack(n, payload) for n, payload in enumerate(payloads, start=1)]


@given(PAYLOADS)
def test_what_was_packed_comes_back_in_order(payloads: list[bytes]) -> None:
    found = list(records.scan(b"".join(packed(payloads))))
    assert [(r.seq, r.payload) for r in found] == list(enumerate(payloads, start=1))


@given(PAYLOADS, st.data())
def test_one_flipped_bit_costs_one_record(payloads: list[bytes], data: st.DataObject) -> None:
    parts = packed(payloads)
    whole = bytearray(b"".join(parts))
    if not whole:
        return
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << (bit % 8)
    ends = list(itertools.accumulate(map(len, parts)))
    hit = bisect.bisect_right(ends, bit // 8) + 1
    assert [r.seq for r in records.scan(bytes(whole))] == [n for n in range(1, len(parts) + 1) if n != hit]


@given(st.binary(max_size=4000))
def test_any_bytes_whatever_can_be_scanned(junk: bytes) -> None:
    good = records.pack(7, b"good")
    assert [r.seq for r in records.scan(junk + good + junk)].count(7) >= 1


def test_scanning_may_begin_behind_a_record() -> None:
    data = b"".join(packed([b"one", b"two", b"three"]))
    first = next(records.scan(data))
    assert [r.seq for r in records.scan(data, first.end)] == [2, 3]
