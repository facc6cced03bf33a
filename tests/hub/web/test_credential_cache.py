"""What was checked a moment ago: for how long, and forgotten when told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hub.core.access import Principal
from hub.web.credential_cache import MAX_ENTRIES, CredentialCache

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def user(number: int = 1) -> Principal:
    return Principal(kind="user", id=number, name="", role="viewer", machines=None, via="token", credential_id=1)


def test_known_for_three_seconds() -> None:
    clock = Clock()
    cache = CredentialCache(clock=clock)
    cache.keep("h", user(), None, cache.generation)
    clock.now = 2.9
    assert cache.find("h", NOW) == user()
    clock.now = 3.0
    assert cache.find("h", NOW) is None


def test_never_beyond_its_own_end() -> None:
    cache = CredentialCache(clock=Clock())
    cache.keep("h", user(), NOW + timedelta(seconds=1), cache.generation)
    assert cache.find("h", NOW) is not None
    assert cache.find("h", NOW + timedelta(seconds=1)) is None


def test_forgetting_a_user_leaves_the_others() -> None:
    cache = CredentialCache(clock=Clock())
    cache.keep("a", user(1), None, cache.generation)
    cache.keep("b", user(2), None, cache.generation)
    cache.forget_user(1)
    assert cache.find("a", NOW) is None
    assert cache.find("b", NOW) is not None
    cache.forget("b")
    assert cache.find("b", NOW) is None


def test_a_look_up_overtaken_by_a_revocation_is_not_kept() -> None:
    cache = CredentialCache(clock=Clock())
    began = cache.generation
    cache.forget_user(1)
    cache.keep("h", user(1), None, began)
    assert cache.find("h", NOW) is None


def test_the_table_is_bounded() -> None:
    cache = CredentialCache(clock=Clock())
    for n in range(MAX_ENTRIES + 10):
        cache.keep(str(n), user(), None, cache.generation)
    assert cache.find("0", NOW) is None
    assert cache.find(str(MAX_ENTRIES + 9), NOW) is not None
