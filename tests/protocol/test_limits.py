"""The numbers keep their promises to each other."""

from __future__ import annotations

from protocol import limits
from protocol.version import PROTOCOL_VERSION, SUPPORTED_VERSIONS


def test_a_dead_peer_is_noticed_within_forty_seconds_and_shown_within_forty_five() -> None:
    noticed = limits.PING_INTERVAL_S + limits.PING_TIMEOUT_S
    assert noticed <= 40
    assert noticed + limits.OFFLINE_GRACE_S <= 45


def test_we_speak_the_version_we_announce() -> None:
    assert PROTOCOL_VERSION in SUPPORTED_VERSIONS
