"""Capabilities, host names, tickets and cookies of open pages."""

from __future__ import annotations

from hub.remote.machine_pages.open_pages import PAGES_PER_SESSION, TICKET_S, OpenPage, OpenPages

PAGE = OpenPage(rvm_id=1, session_id=7, holder=3, port=5000)
OTHER = PAGE._replace(session_id=8, port=5001)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_capability_is_its_page_and_cannot_be_read_back() -> None:
    pages = OpenPages()
    text = pages.capability(PAGE)
    assert len(text) >= 43
    assert pages.by_capability(text) == PAGE
    assert pages.by_capability(text[:-1]) is None
    assert pages.by_capability("\udcff") is None
    assert text not in repr(vars(pages))


def test_a_session_has_so_many_and_the_oldest_makes_room() -> None:
    pages = OpenPages()
    first, other = pages.capability(PAGE), pages.capability(OTHER)
    newest = [pages.capability(PAGE) for _ in range(PAGES_PER_SESSION)]
    assert pages.by_capability(first) is None
    assert all(pages.by_capability(text) for text in (*newest, other))


def test_a_page_has_so_many_tickets_and_the_oldest_makes_room() -> None:
    pages = OpenPages()
    label, other = pages.label(PAGE), pages.label(OTHER)
    first, of_other = pages.ticket(label), pages.ticket(other)
    newest = [pages.ticket(label) for _ in range(PAGES_PER_SESSION)]
    assert pages.enter(label, first) is None
    assert all(pages.enter(label, text) for text in newest)
    assert pages.enter(other, of_other)


def test_a_ticket_is_used_once_in_time_at_its_own_entrance() -> None:
    clock = Clock()
    pages = OpenPages(clock)
    label, other = pages.label(PAGE), pages.label(OTHER)
    assert pages.label(PAGE) == label != other
    assert pages.enter(other, stolen := pages.ticket(label)) is None
    assert pages.enter(label, stolen) is None, "used up by the thief"
    late = pages.ticket(label)
    clock.now += TICKET_S
    assert pages.enter(label, late) is None
    cookie = pages.enter(label, pages.ticket(label))
    assert cookie is not None
    assert pages.entered(label, cookie)
    assert not pages.entered(other, cookie)
    assert not pages.entered(label, "")


def test_what_is_over_is_dropped() -> None:
    pages = OpenPages()
    over, stays = pages.capability(PAGE), pages.capability(OTHER)
    label = pages.label(PAGE)
    cookie = pages.enter(label, pages.ticket(label)) or ""
    pages.of_session(PAGE)
    kept = pages.of_session(OTHER)
    pages.purge(lambda page: page == OTHER)
    assert pages.by_capability(over) is None
    assert pages.by_capability(stays) == OTHER
    assert pages.by_label(label) is None
    assert not pages.entered(label, cookie)
    assert pages.of_session(OTHER) is kept
