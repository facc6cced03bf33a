"""Connections without a request: so many of one network, so many in all, and the oldest makes room."""

from __future__ import annotations

from hub.server.http_protocol import ConnectionLimits, PendingConnection, PendingConnections


class Room:
    """Three in all, two of one network."""

    def __init__(self) -> None:
        self.pending = PendingConnections(ConnectionLimits(of_all=3, of_network=2))
        self.ended: list[str] = []

    def enter(self, name: str, network: str) -> PendingConnection:
        return self.pending.enter(network, 0.0, lambda: self.ended.append(name))


def test_the_oldest_of_a_network_makes_room_for_its_own() -> None:
    room = Room()
    for name in ("first", "second", "third"):
        room.enter(name, "192.0.2.1")
    assert (room.ended, len(room.pending)) == (["first"], 2)


def test_a_network_that_floods_ends_nobody_elses() -> None:
    room = Room()
    room.enter("neighbour", "192.0.2.2")
    for number in range(10):
        room.enter(f"flood {number}", "192.0.2.1")
    assert "neighbour" not in room.ended
    assert len(room.pending) == 3


def test_the_oldest_of_all_makes_room_when_many_networks_come() -> None:
    room = Room()
    for number in range(4):
        room.enter(f"from {number}", f"192.0.2.{number}")
    assert (room.ended, len(room.pending)) == (["from 0"], 3)


def test_those_of_a_proxy_count_in_all_only() -> None:
    room = Room()
    for number in range(3):
        room.enter(f"proxied {number}", "")
    assert (room.ended, len(room.pending)) == ([], 3)


def test_who_has_asked_takes_no_place_and_is_not_ended() -> None:
    room = Room()
    asked = room.enter("asked", "192.0.2.1")
    asked.leave()
    asked.leave()
    for name in ("first", "second"):
        room.enter(name, "192.0.2.1")
    assert (room.ended, len(room.pending)) == ([], 2)
    assert room.pending._by_network.keys() == {"192.0.2.1"}
