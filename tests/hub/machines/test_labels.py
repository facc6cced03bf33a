"""Labels to print, and the page that they lead to: whose they are, where they lead, what an odd name does to them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import segno

from dashboard.qr import TextTooLongError
from hub.machines.find_page import code_of, label
from tests.support.api_hub import ORIGIN, ApiHub, api_hub
from tests.support.page_visitor import browser

ADDRESS = "https://hub.example/m/RVM-007"
FINDER = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


def test_a_label_leads_to_the_page_of_its_machine() -> None:
    made = label("https://hub.example/", "Mesin 1", "RVM 1/a?é")
    assert made.address == "https://hub.example/m/RVM%201%2Fa%3F%C3%A9"
    assert (made.side, made.dark) == code_of(made.address)


def test_an_address_that_no_code_holds_is_written_out() -> None:
    made = label("https://hub.example", "Mesin 1", "é" * 100)
    assert (made.side, made.dark) == (0, "")
    assert made.address.endswith("%A9")


@pytest.mark.parametrize("language", ["en", "id"])
async def test_people_print_labels_of_the_machines_they_see(hub: ApiHub, language: str) -> None:
    async with await browser(hub, "operator", language=language) as client:
        page = (await client.get("/labels")).text
        assert page.count("<svg viewBox=") == len(hub.machines) + page.count('class="brand"')
        assert f"{ORIGIN}/m/dev-two" in page
        one = (await client.get("/machines/1/label")).text
        assert f"{ORIGIN}/m/" in one
        assert "/labels" in one
        found = (await client.get("/labels?q=dev-two")).text
        assert f"{ORIGIN}/m/dev-two" in found
        assert "<li>" in found
        assert found.count("<li>") == 1


async def test_the_page_in_front_of_a_machine_offers_what_its_reader_may_do(hub: ApiHub) -> None:
    for name, may in (("operator", True), ("viewer", False)):
        async with await browser(hub, name) as client:
            page = (await client.get("/m/dev-two")).text
            assert ("/terminal" in page) == may
            assert ("Camera" in page) == may
    async with await browser(hub, "operator") as client:
        assert (await client.get("/m/nobody")).status_code == 404
        token = {"status": "maintenance", "reason": "Sensor", "back": "/m/dev-two"}
        page = (await client.get("/m/dev-two")).text
        token["csrf_token"] = page.split('name="csrf_token" value="')[1].split('"')[0]
        answer = await client.post("/machines/dev-two/status", data=token)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/m/dev-two?done=")
        page = (await client.get(answer.headers["location"])).text
        assert 'value="/m/dev-two"' in page
        asked = await client.post("/machines/dev-two/status", data={**token, "back": "//evil.example"})
        assert asked.headers["location"].startswith("/machines/")


def drawn(text: str) -> list[str]:
    side, dark = code_of(text)
    grid = [["0"] * side for _ in range(side)]
    for x, y, wide in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", dark):
        for at in range(int(wide)):
            grid[int(y)][int(x) + at] = "1"
    return ["".join(row) for row in grid]


@pytest.mark.parametrize("text", [ADDRESS, "https://hub.example/m/Mesin%20Gambir", "é" * 100, "z" * 412])
def test_the_path_draws_the_dark_modules_inside_a_quiet_zone(text: str) -> None:
    grid = drawn(text)
    inner = [row[4:-4] for row in grid[4:-4]]
    assert {*grid[:4], *grid[-4:]} == {"0" * len(grid)}
    assert {row[:4] + row[-4:] for row in grid} == {"0" * 8}
    for top, left in ((0, 0), (0, len(inner) - 7), (len(inner) - 7, 0)):
        assert [row[left : left + 7] for row in inner[top : top + 7]] == FINDER
    same = segno.make_qr(text, error="m", encoding="utf-8", boost_error=False)
    assert inner == ["".join(map(str, row)) for row in same.matrix]


def test_a_code_is_small_enough_for_a_label() -> None:
    assert code_of("z" * 412)[0] == 17 + 4 * 15 + 8


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(TextTooLongError, match="413 bytes; at most 412"):
        code_of("z" * 413)


@pytest.mark.parametrize("language", ["en", "id"])
async def test_what_a_label_says_leads_to_the_machine_or_back_to_the_field(hub: ApiHub, language: str) -> None:
    async with await browser(hub, "technician", language=language) as client:
        empty = await client.get("/scan")
        assert empty.status_code == 200
        assert "aria-invalid" not in empty.text
        assert empty.headers["permissions-policy"].startswith("camera=(self),")
        assert (await client.get("/help")).headers["permissions-policy"].startswith("camera=(),")
        led = await client.get("/scan", params={"code": label(ORIGIN, "one", "dev-one").address})
        assert (led.status_code, led.headers["location"]) == (303, "/m/dev-one")
        for way in ("http://10.0.0.1:8080/m/dev-one/?done=1#x", "ONE", "dev-one "):
            assert (await client.get("/scan", params={"code": way})).headers["location"] == "/m/dev-one"
        # Another's machine is as one that is not there.
        for wrong in ("dev-two", f"{ORIGIN}/m/dev", f"{ORIGIN}/m/", "<b>\u202e", "x" * 501, "\x00"):
            lost = await client.get("/scan", params={"code": wrong})
            assert lost.status_code == 404, wrong
            assert {"en": "None of your machines", "id": "Tidak ada mesin Anda"}[language] in lost.text
            assert 'aria-describedby="code-fault"' in lost.text
            assert "<b>" not in lost.text.partition('id="camera"')[2]
            assert "\u202e" not in lost.text
        # What is scanned by the phone's own camera as well, and whom to ask.
        for wrong in ("dev-two", "nobody", "%3Cb%3E", "x" * 3000):
            lost = await client.get(f"/m/{wrong}")
            assert lost.status_code == 404, wrong
            assert {"en": "None of your machines", "id": "Tidak ada mesin Anda"}[language] in lost.text
            assert {"en": "ask an administrator for it: ", "id": "minta administrator menambahkannya"}[
                language
            ] in lost.text
            assert lost.headers["permissions-policy"].startswith("camera=(self),")
    async with await browser(hub, "operator") as client:
        assert "ask an administrator" not in (await client.get("/m/nobody")).text, "there is none, for anybody"
        several = await client.get("/scan", params={"code": "dev-"})
        assert (several.status_code, several.headers["location"]) == (303, "/?q=dev-")
