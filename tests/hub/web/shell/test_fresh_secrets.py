"""Secrets that their pages may still show: to whom, and for how long."""

from __future__ import annotations

from hub.model.access import Principal
from hub.web.shell.fresh_secrets import KEPT_S, MOST, FreshSecrets


def somebody(session: int) -> Principal:
    return Principal("user", 1, "Ani", "admin", None, "session", session)


def test_only_the_session_that_made_it_sees_it_and_not_for_long() -> None:
    now = 0.0
    fresh = FreshSecrets(lambda: now)
    fresh.keep(somebody(1), "/machines/1/key", "rvmk_a")
    assert fresh.find(somebody(1), "/machines/1/key") == "rvmk_a"
    assert fresh.find(somebody(1), "/machines/2/key") is None
    assert fresh.find(somebody(2), "/machines/1/key") is None, "another session of the same person"
    now = KEPT_S - 1
    fresh.keep(somebody(1), "/machines/2/key", "rvmk_b")
    assert fresh.find(somebody(1), "/machines/1/key") == "rvmk_a"
    now = KEPT_S
    assert fresh.find(somebody(1), "/machines/1/key") is None
    assert fresh.find(somebody(1), "/machines/2/key") == "rvmk_b"


def test_a_newer_one_takes_its_place_and_their_number_is_bounded() -> None:
    fresh = FreshSecrets(lambda: 0.0)
    fresh.keep(somebody(1), "/a", "old")
    fresh.keep(somebody(1), "/a", "new")
    assert fresh.find(somebody(1), "/a") == "new"
    for session in range(2, MOST + 2):
        fresh.keep(somebody(session), "/a", "other")
    assert fresh.find(somebody(1), "/a") is None
    assert fresh.find(somebody(2), "/a") == "other"
