"""The lean MQTT client reads what a broker writes, in whatever pieces it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.mqtt import packet, take_packets


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=5), st.integers(1, 50))
def test_packets_survive_any_cut(sent: list[tuple[int, bytes]], piece: int) -> None:
    stream = b"".join(packet(kind, body) for kind, body in sent)
    found: list[tuple[int, bytes]] = []
    rest = b""
    for at in range(0, len(stream), piece):
        taken, rest = take_packets(rest + stream[at : at + piece])
        found += taken
    assert (found, rest) == (sent, b"")
