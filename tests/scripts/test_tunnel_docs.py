"""scripts/tunnel_docs.py: the page has every frame, every state and the numbers both ends must know."""

from __future__ import annotations

from protocol.stream_frames import FrameType
from protocol.stream_limits import TUNNEL_SUBPROTOCOL
from protocol.stream_table import Side
from scripts.protocol_docs import page


def test_the_page_shows_all_a_client_needs() -> None:
    chapter = page().partition("## The tunnel")[2].partition("## Close codes")[0]
    for kind in FrameType:
        assert f"| {kind.value} | `{kind.name}` |" in chapter
    for side in Side:
        assert f"| {side.value} | " in chapter
    for word in (TUNNEL_SUBPROTOCOL, "4401", "4403", "4409", "4400", "32 KiB", "256 KiB", "At most 64", "4 MiB"):
        assert word in chapter
