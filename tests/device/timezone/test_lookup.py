"""Look-ups against a server that is honest, slow, wrong and hostile: a good name or a reason, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from device.timezone.lookup import look_up
from device.timezone.rules import FoundZone, NoAnswerError
from tests.support.zone_server import DRIPS, MOODS, ZoneServer, zone_server

GOOD = {"honest", "makassar", "spare"}
BAD = sorted(MOODS.keys() - GOOD)


@pytest.fixture
def server() -> Iterator[ZoneServer]:
    with zone_server() as running:
        yield running


def test_an_honest_answer_has_zone_place_and_address(server: ZoneServer) -> None:
    found = look_up([server.url("honest")])
    assert found == FoundZone(timezone="Asia/Jakarta", country="Indonesia", city="Jakarta", ip="203.0.113.9")
    (head,) = server.heads
    assert head.startswith("GET /honest HTTP/1.1\r\n")
    assert "myrvm-agent/" in head
    assert "authorization" not in head.lower(), "nobody but the hub ever sees the key"
    assert "cookie" not in head.lower()


@pytest.mark.parametrize("mood", BAD)
def test_what_is_no_good_answer_is_refused_with_a_reason_and_the_next_address_asked(
    server: ZoneServer, mood: str
) -> None:
    with pytest.raises(NoAnswerError) as none:
        look_up([server.url(mood)])
    assert str(none.value).startswith(f"http://127.0.0.1:{server.port}: ")
    assert str(none.value).isprintable()
    assert len(str(none.value)) < 400
    assert server.asked == [mood], "no redirect was followed"
    assert look_up([server.url(mood), server.url("spare")]) == FoundZone(timezone="Asia/Jayapura")


@pytest.mark.parametrize("mood", [*DRIPS, "mute"])
def test_a_slow_server_is_cut_off_in_all_its_ways(server: ZoneServer, mood: str) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"no answer within 0\.5 s"):
        look_up([server.url(mood)], timeout=0.5)
    assert time.monotonic() - began < 60, "the whole answer would take minutes"
    assert look_up([server.url(mood), server.url("honest")], timeout=3).timezone == "Asia/Jakarta"


def test_addresses_that_lead_nowhere_are_named(server: ZoneServer) -> None:
    urls = ["http://127.0.0.1:1/secret-key", "http://127.0.0.1:99999/", "http://no-such-host.invalid/json",
            "http://secret-key:secret-key@127.0.0.1:2?secret-key"]  # fmt: skip
    with pytest.raises(NoAnswerError) as none:
        look_up(urls)
    for host in ("127.0.0.1:1: ", "127.0.0.1:99999: ", "no-such-host.invalid: ", "127.0.0.1:2: "):
        assert f"http://{host}" in str(none.value)
    assert len(none.value.args) == len(urls)
    assert "secret-key" not in str(none.value)
    assert look_up([*urls, server.url("honest")]).timezone == "Asia/Jakarta"


def test_the_environments_proxy_is_not_used(server: ZoneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert look_up([server.url("honest")]).timezone == "Asia/Jakarta"
