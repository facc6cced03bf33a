"""Which names are machines' pages, which are the hub's, and which are nobody's."""

from __future__ import annotations

import pytest

from hub.remote.machine_pages.own_host import UNKNOWN, names_of
from hub.settings import Settings, SettingsError

LABEL = "p" + "0a" * 16


@pytest.mark.parametrize(
    ("host", "label"),
    [
        (f"{LABEL}.pages.test", LABEL), (f"{LABEL}.pages.test:8443", LABEL), (f"{LABEL.upper()}.pages.test", None),
        ("other.pages.test", "other"), ("a.b.pages.test", UNKNOWN), ("A.pages.test", UNKNOWN), (".pages.test", UNKNOWN),
        ("a.pages.test.", None), ("hub.pages.test", None), ("HUB.PAGES.TEST:1", None), ("hub.pages.test..", None),
        ("pages.test", None), ("xpages.test", None), ("", None), ("[::1]:8001", None), ("\uff48ub.pages.test", None),
    ],
)  # fmt: skip
def test_only_the_exact_spelling_is_a_page(host: str, label: str | None) -> None:
    names = names_of(Settings(pages_url="https://pages.test:8443", public_url="https://hub.pages.test"))
    assert names is not None
    found = names.label(host)
    if label is None:
        assert not found, "never a page's name; the hub's, or nobody's"
    else:
        assert found == label
    assert names.origin(LABEL) == f"https://{LABEL}.pages.test:8443"
    assert names.source == "https://*.pages.test:8443"


def test_without_the_setting_there_are_none() -> None:
    assert names_of(Settings()) is None


@pytest.mark.parametrize(
    "url", ["pages.test", "https://pages.test/x", "https://127.0.0.1", "https://[::1]", "https://a b"]
)
def test_an_address_below_which_nothing_can_stand_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--pages-url"):
        Settings.load({"pages_url": url}, {})


def test_pages_of_a_hub_by_https_are_by_https() -> None:
    with pytest.raises(SettingsError, match="--pages-url"):
        Settings.load({"pages_url": "http://pages.test", "public_url": "https://hub.test"}, {})


@pytest.mark.parametrize(
    ("hub", "pages"),
    [
        ("https://hub.example.com", "https://pages.example.com"), ("https://example.com", "https://p.example.com:8443"),
        ("https://hub.example.co.id", "https://pages.example.co.id"), (None, "https://pages.example.com"),
    ],
)  # fmt: skip
def test_pages_on_the_site_of_the_hub_are_refused_with_the_way_out(hub: str | None, pages: str) -> None:
    with pytest.raises(SettingsError, match=r"--pages-url.*site") as refused:
        Settings.load({"pages_url": pages, "public_url": hub}, {})
    assert refused.value.fix


@pytest.mark.parametrize(
    ("hub", "pages"),
    [
        ("https://hub.example.com", "https://pages.example.net"), ("https://hub.a.co.id", "https://pages.b.co.id"),
        (None, "http://pages.localhost:8001"), ("http://127.0.0.1:8001", "http://pages.localhost:8001"),
        ("https://10.0.0.1", "https://pages.example.com"),
    ],
)  # fmt: skip
def test_pages_on_another_site_are_taken(hub: str | None, pages: str) -> None:
    assert names_of(Settings.load({"pages_url": pages, "public_url": hub}, {})) is not None
