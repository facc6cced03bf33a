"""The page itself: what it shows, in both languages, whatever the machine is called."""

from __future__ import annotations

import base64
import hashlib
import re

from device.control_page import page
from device.control_page.page import ShownSession
from device.texts import texts_in
from tests.support.machine_page import snapshot


def test_everything_a_person_asks_first_is_on_it() -> None:
    shown = page.machine(snapshot(), "en")
    for said in (
        "Machine rvm-7", "maintenance", "40 %", "connected", "https://hub.example", "Jetson Orin Nano", "12 %", "51 °C",
        "2 h 1 min", "no GPU found", "Siti from 192.168.1.9, 15 min left: camera is dark", "camera.service", "active",
        "port 5000", "starts when it is opened", "connected to the hub", '<html lang="en">',
    ):  # fmt: skip
        assert said in shown, said
    assert "<script" not in shown
    assert "refresh" not in shown.partition("<body>")[0]


def test_it_says_so_when_there_is_nothing() -> None:
    shown = page.machine(snapshot(sample=None, visits=(), services=(), log=(), capacity=None, is_linked=False), "id")
    for code in ("page_no_readings", "page_no_visit", "page_no_services", "page_not_linked"):
        assert texts_in("id")(code) in shown


def test_indonesian_is_indonesian() -> None:
    shown = page.machine(snapshot(), "id")
    assert '<html lang="id">' in shown
    assert "Siti dari 192.168.1.9, sisa 15 mnt" in shown
    assert "Pembacaan" in shown
    assert texts_in("id")("page_refresh") in shown


def test_it_can_refresh_itself_and_stop() -> None:
    assert '<meta http-equiv="refresh" content="5">' in page.machine(snapshot(), "en", refreshes=True)
    assert 'href="?"' in page.machine(snapshot(), "en", refreshes=True)
    assert 'href="?every=5"' in page.machine(snapshot(), "en")


def test_no_text_of_the_machine_becomes_markup() -> None:
    evil = "<img src=x onerror=alert(1)>{title}"
    shown = page.machine(
        snapshot(
            device_id=evil, hub=evil, status=evil, version=evil, hardware={"model": evil, "hostname": evil},
            visits=(ShownSession(1, evil, evil, evil, 5.0),), services=((evil, evil),), log=(evil, "</pre>" + evil),
        ),
        "en",
    )  # fmt: skip
    assert "<img" not in shown
    assert shown.count("</pre>") == 1
    assert "{title}" in shown


def test_links_are_relative_so_that_the_page_works_below_any_path() -> None:
    for shown in (page.machine(snapshot(), "en"), page.ticket_form("en", was_wrong=True)):
        targets = re.findall(r'(?:href|action|src)="([^"]*)"', shown)
        assert targets
        assert all(not target.startswith(("/", "http")) for target in targets)


def test_the_style_is_the_one_the_policy_names() -> None:
    style = re.search("<style>(.*)</style>", page.machine(snapshot(), "en"))
    assert style is not None
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() == page.STYLE_HASH
