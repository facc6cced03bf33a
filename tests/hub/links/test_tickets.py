"""hub/links/links.py: once, within a minute, for one machine, one session and one purpose (bar 55)."""

from __future__ import annotations

from hub.links import links
from hub.links.links import Tickets
from protocol.stream_limits import TICKET_S


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_ticket_is_good_once() -> None:
    made = Tickets()
    text = made.issue(7, 1)
    found = made.redeem(text, 1)
    assert found is not None
    assert (found.session_id, found.rvm_id, found.purpose) == (7, 1, "tunnel")
    assert made.redeem(text, 1) is None


def test_a_ticket_is_good_for_a_minute() -> None:
    clock = Clock()
    made = Tickets(clock)
    early, late = made.issue(7, 1), made.issue(8, 1)
    clock.now += TICKET_S - 0.1
    assert made.redeem(early, 1) is not None
    assert made.awaited(8)
    clock.now += 0.2
    assert not made.awaited(8)
    assert made.redeem(late, 1) is None
    assert made.redeem(made.issue(8, 1), 1) is not None


def test_a_ticket_shown_by_another_machine_or_for_another_purpose_is_spent() -> None:
    made = Tickets()
    text, other = made.issue(7, 1), made.issue(7, 1, "page")
    assert made.redeem(text, 2) is None
    assert made.redeem(text, 1) is None
    assert made.redeem(other, 1) is None
    assert made.redeem(other, 1, "page") is None


def test_a_newer_ticket_of_the_session_voids_the_older() -> None:
    made = Tickets()
    older, page, newer = made.issue(7, 1), made.issue(7, 1, "page"), made.issue(7, 1)
    assert made.redeem(older, 1) is None
    assert made.redeem(page, 1, "page") is not None
    assert made.redeem(newer, 1) is not None


def test_the_end_of_a_session_voids_its_tickets_and_no_others() -> None:
    made = Tickets()
    ended, other = made.issue(7, 1), made.issue(8, 1)
    made.void(7)
    assert made.redeem(ended, 1) is None
    assert made.redeem(other, 1) is not None


def test_nobody_can_read_a_ticket_out_of_the_hub_or_guess_one() -> None:
    made = Tickets()
    texts = {made.issue(n, 1) for n in range(100)}
    assert len(texts) == 100
    assert all(len(text) >= 43 for text in texts)
    assert not any(text in repr(vars(made)) for text in texts)
    assert made.redeem("\ud800", 1) is None


def test_tickets_are_bounded() -> None:
    made = Tickets()
    first = made.issue(0, 1)
    for n in range(1, links.MAX_TICKETS):
        made._outstanding[n.to_bytes(4, "big")] = links.SessionTicket(n, 1, "tunnel", 1e18)
    made.issue(-1, 1)
    assert len(made._outstanding) == links.MAX_TICKETS
    assert made.redeem(first, 1) is None
