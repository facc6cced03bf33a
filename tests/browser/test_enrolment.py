"""Enrolment as an administrator meets it: a code, the waiting room, another board, labels, a file of machines."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from playwright.async_api import Locator, expect

from protocol.enrolment import fingerprint, key_hash
from tests.browser.conftest import Stage
from tests.device.agent_process import ROOT
from tests.hub.enrolment.test_enrolment_api import key
from tests.support.browser import Tab, tab
from tests.support.lively_machine import lively
from tests.support.machine_client import MachineClient
from tests.support.until import until_answered

NEWS_MS = 30_000
LOOKS: list[dict[str, Any]] = [
    {"viewport": {"width": 1440, "height": 900}, "timezone_id": "Asia/Jakarta", "locale": "en-GB"},
    {"viewport": {"width": 390, "height": 844}, "timezone_id": "Asia/Jayapura", "locale": "id-ID", "has_touch": True},
]
LOOK_NAMES = ["1440-en", "390-id"]
WORDS = {
    "en-GB": {
        "none": "No machine waits", "nobody": "Choose at least one machine", "connected": "different board uses",
        "copy": "Two boards use its key at once", "waits": "waits to be accepted", "line": "Line 3",
        "latitude": "latitude: must be degrees from -90 to 90", "over": "The code has been used or has expired",
    },
    "id-ID": {
        "none": "Tidak ada mesin yang menunggu", "nobody": "Pilih minimal satu", "connected": "Modul lain memakai",
        "copy": "Dua modul memakai kuncinya bersamaan", "waits": "menunggu diterima", "line": "Baris 3",
        "latitude": "latitude: harus derajat dari -90 sampai 90", "over": "Kode sudah",
    },
}  # fmt: skip


@contextlib.asynccontextmanager
async def enrolling(stage: Stage, folder: Path, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real `run_device.py enrol HUB --code -`, which writes its file into `folder`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "device", "--config", str(folder / "machine.json"), "enrol", stage.hub.url, "--code", "-",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(f"{code}\n".encode())
    process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def comes(stage: Stage, code: str, number: int) -> httpx.Response:
    """A machine that asks once."""
    body = {
        "code": code,
        "key_prefix": key(number)[:13],
        "key_hash": key_hash(key(number)),
        "hostname": f"orin-{number}",
    }
    async with httpx.AsyncClient(base_url=stage.hub.url, trust_env=False, timeout=60) as machine:
        return await machine.post("/api/v2/enrol", json=body)


def waiting(page: Tab) -> Locator:
    return page.page.locator("#enrol-lists form[action$=decide] tbody tr")


async def made_code(page: Tab, uses: int) -> str:
    await page.open("/admin/enrol")
    await page.page.fill("#uses", str(uses))
    await page.page.locator("form[action='/admin/enrol'] button.main").click()
    return await page.page.locator("#code").inner_text()


async def fits(page: Tab) -> None:
    wide = await page.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page goes sideways"


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
async def test_the_waiting_room_follows_and_decides_many_at_once(
    stage: Stage, tmp_path: Path, look: dict[str, Any]
) -> None:
    words = WORDS[look["locale"]]
    async with tab(stage.browser, stage.hub, **look) as page:
        code = await made_code(page, 4)
        await page.live()
        await expect(page.page.locator("#enrol-lists")).to_contain_text(words["none"])
        async with enrolling(stage, tmp_path, code) as real:
            await expect(waiting(page)).to_have_count(1, timeout=NEWS_MS)
            for number in range(1, 4):
                assert (await comes(stage, code, number)).status_code == 200
            await expect(waiting(page)).to_have_count(4, timeout=NEWS_MS)
            assert (await comes(stage, code, 9)).status_code == 403, "four uses are four"
            await fits(page)
            await page.page.locator("[name=do][value=approve]").click()
            await expect(page.page.locator(".note.bad")).to_contain_text(words["nobody"])
            mine = waiting(page).filter(has_not_text="orin-")
            shown = await mine.locator(".mono").inner_text()
            await mine.locator("[type=checkbox]").check()
            await waiting(page).filter(has_text="orin-1").locator("[type=checkbox]").check()
            await page.page.locator("[name=do][value=approve]").click()
            await expect(waiting(page)).to_have_count(2)
            assert await asyncio.wait_for(real.wait(), 60) == 0
            assert real.stderr is not None
            assert shown in (await real.stderr.read()).decode()
        await waiting(page).filter(has_text="orin-2").locator("[value^='reject ']").click()
        await expect(waiting(page)).to_have_count(1)
        states = [(await comes(stage, code, number)).json()["data"]["state"] for number in range(1, 4)]
        assert states == ["approved", "rejected", "waiting"]
        await expect(page.page.locator("#enrol-lists li a", has_text="orin-1")).to_have_count(1)
        await fits(page)
        assert page.faults == []


async def test_the_waiting_room_by_keyboard_alone(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub) as page:
        code = await made_code(page, 2)
        await page.live()
        for number in (1, 2):
            await comes(stage, code, number)
        await expect(waiting(page)).to_have_count(2, timeout=NEWS_MS)
        await waiting(page).first.locator("[type=checkbox]").focus()
        chosen = await waiting(page).first.locator(".mono").inner_text()
        await page.page.keyboard.press("Space")
        for _ in range(12):
            if await page.page.evaluate("document.activeElement.value === 'approve'"):
                break
            await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Enter")
        await expect(waiting(page)).to_have_count(1)
        await expect(page.page.locator("#enrol-lists li", has_text=chosen)).to_have_count(1)
        assert page.faults == []


async def test_without_javascript_a_machine_comes_from_the_form_to_its_approval(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, java_script_enabled=False) as page:
        await page.open("/machines/add")
        await page.page.fill("#name", "Kantin Timur")
        await page.page.locator("main form button.main").click()
        await page.page.wait_for_url("**/enrol")
        code = await page.page.locator("#code").inner_text()
        assert code in await page.page.locator("#command").inner_text()
        await comes(stage, code, 1)
        await page.page.reload()
        await expect(page.page.locator("#enrol-steps b")).to_have_text(fingerprint(key_hash(key(1))))
        await page.page.locator("#enrol-steps button.main").click()
        await expect(page.page.locator("#enrol-steps pre")).to_contain_text("run_device.py --config")
        assert (await comes(stage, code, 1)).json()["data"]["state"] == "approved"


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
async def test_a_code_that_is_over_says_so_on_both_ends(stage: Stage, tmp_path: Path, look: dict[str, Any]) -> None:
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/machines/3/enrol")
        await page.page.locator("form[action$='/enrol'] button").click()
        code = await page.page.locator("#code").inner_text()
        await page.open("/admin/enrol")
        await page.page.locator("form[action$=revoke] button").click()
        await expect(page.page.locator("form[action$=revoke]")).to_have_count(0)
        async with enrolling(stage, tmp_path, code) as late:
            assert await asyncio.wait_for(late.wait(), 60) == 2
            assert late.stderr is not None
            told = (await late.stderr.read()).decode()
        assert "Traceback" not in told
        assert "code" in told
        await page.open("/machines/3/enrol")
        await expect(page.page.locator("#enrol-steps")).to_contain_text(WORDS[look["locale"]]["over"])
        await page.page.locator("form[action$='/enrol'] button").click()
        assert await page.page.locator("#code").inner_text() != code


def board(serial: str) -> dict[str, Any]:
    hardware = {"board_serial": serial, "machine_id": "a" * 64, "model": "Orin NX", "hostname": f"rvm-{serial}"}
    return {"hardware": hardware, "boot_id": f"boot-{serial}"}


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
async def test_a_changed_jetson_is_asked_about_and_keeps_its_history(stage: Stage, look: dict[str, Any]) -> None:
    words, third = WORDS[look["locale"]], stage.keys[2]
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        async with lively(stage.hub, third, **board("1424")):
            await expect(page.page.locator("#attention li", has_text="RVM-003")).to_have_count(0, timeout=NEWS_MS)
        for verdict in ("refuse", "accept"):
            async with lively(stage.hub, third, **board(f"1599-{verdict}")):
                await page.open("/")
                await page.live()
                line = page.page.locator("#attention li", has_text=words["connected"])
                await expect(line).to_contain_text("RVM-003", timeout=NEWS_MS)
                await fits(page)
                await line.get_by_role("link").first.click()
                await page.page.wait_for_url("**/machines/3/enrol")
                await expect(page.page.locator("main")).to_contain_text("1424")
                await expect(page.page.locator("main")).to_contain_text(f"1599-{verdict}")
                await fits(page)
                await page.page.locator(f"[name=do][value={verdict}]").click()
                await expect(page.page.locator("[name=do][value=accept]")).to_have_count(0)
                await page.open("/")
                await page.live()
                await expect(line).to_have_count(0, timeout=NEWS_MS)
        await page.open("/machines/3/events")
        for serial in ("1599-refuse", "1599-accept"):
            await expect(page.page.locator("main")).to_contain_text(serial)
        assert page.faults == []


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
async def test_a_strict_fleet_asks_first_and_a_copy_is_named_as_one(stage: Stage, look: dict[str, Any]) -> None:
    words, third = WORDS[look["locale"]], stage.keys[2]
    async with tab(stage.browser, stage.hub, **look) as page, lively(stage.hub, third, **board("1424")) as first:
        copy = asyncio.ensure_future(_until_out(stage, board("1599")))
        await page.open("/")
        await page.live()
        await expect(page.page.locator("#attention")).to_contain_text(words["copy"], timeout=NEWS_MS)
        await copy
        await page.open("/machines/3/enrol")
        await expect(page.page.locator("[name=do]")).to_have_count(2)
        await fits(page)
        await page.page.locator("[name=do][value=refuse]").click()
        await page.open("/admin/settings")
        await page.page.locator("[name='v.new_board_approval']").first.wait_for(state="attached")
        async with stage.hub.client() as admin:
            assert (await admin.patch("/api/v2/config", json={"new_board_approval": True})).status_code == 200
        await _until_out(stage, board("1700"))
        await page.open("/")
        await expect(page.page.locator("#attention")).to_contain_text(words["waits"], timeout=NEWS_MS)
        assert first.client is not None
        assert page.faults == []


async def _until_out(stage: Stage, said: dict[str, Any]) -> None:
    """A board that connects until the hub keeps it out; it comes again while the link was taken over a moment ago."""

    async def is_out() -> bool:
        try:
            async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
                with contextlib.suppress(websockets.WebSocketException):  # before the welcome, or after it
                    await machine.say_hello(**said)
                assert await machine.closed() in (4403, 1013)
        except websockets.InvalidStatus as refused:
            if refused.response.status_code != 429:
                raise
            return False
        return True

    await until_answered(is_out, every=0.5)


async def test_labels_fill_whole_sheets_of_a4(stage: Stage) -> None:
    sheet = "name\n" + "".join(f"Label {number}\n" for number in range(21))
    async with stage.hub.client() as admin:
        assert (await admin.post("/api/v2/machine-sheet", json={"csv": sheet})).status_code == 201
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/labels")
        await expect(page.page.locator(".labels li")).to_have_count(24)
        paper = await page.page.pdf(prefer_css_page_size=True)
        sizes = {
            tuple(round(float(edge)) for edge in box.split()) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", paper)
        }
        assert sizes == {(0, 0, 595, 842)}, "A4"
        await page.page.emulate_media(media="print")
        await page.page.set_viewport_size({"width": 703, "height": 1032})  # A4 without its margins, at 96 dpi
        boxes = await page.page.locator(".labels li").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().toJSON())"
        )
        left = {round(box["left"]) for box in boxes}
        assert len(left) == 2, "two beside each other"
        per_page = 2 * int((1032 + 23) // (max(box["height"] for box in boxes) + 23))
        assert per_page >= 10
        assert len(re.findall(rb"/Type /Page\b", paper)) == -(-24 // per_page)
        code = await page.page.locator(".labels svg").first.evaluate("one => one.getBoundingClientRect().width")
        assert code == pytest.approx(34 / 25.4 * 96, abs=1)
        assert page.faults == []


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
async def test_a_file_of_machines_is_checked_corrected_added_and_written(stage: Stage, look: dict[str, Any]) -> None:
    words = WORDS[look["locale"]]
    wrong = "name,latitude,longitude\nKantin Timur,-6.1754,106.8272\n=Toko,-91,106.8\n"
    async with tab(stage.browser, stage.hub, **look, accept_downloads=True) as page:
        await page.open("/machines/import")
        await page.page.fill("#csv", wrong)
        await page.page.locator("[name=do][value=check]").click()
        fault = page.page.locator("main li", has_text=words["line"])
        await expect(fault).to_contain_text(words["latitude"])
        assert await page.page.input_value("#csv") == wrong, "what was typed is still there"
        await fits(page)
        await page.page.fill("#csv", wrong.replace("-91", "-6.9"))
        await page.page.locator("[name=do][value=check]").click()
        await page.page.locator("[name=do][value=add]").click()
        await page.page.wait_for_url(f"{stage.hub.url}/")
        await expect(page.page.locator("tbody tr[data-id]", has_text="=Toko")).to_have_count(1)
        await page.open("/machines/import")
        async with page.page.expect_download() as saving:
            await page.page.click("#export summary")
            await page.page.click("#export button")
        written = await asyncio.to_thread((await (await saving.value).path()).read_bytes)
        text = written.decode("utf-16" if look["locale"] == "id-ID" else "utf-8-sig")
        mark, decimal = (";", ",") if look["locale"] == "id-ID" else (",", ".")
        assert text.startswith("sep=;" if mark == ";" else "name,")
        assert f"Kantin Timur{mark}{mark}kantin-timur" in text
        assert f"\n'=Toko{mark}" in text, "no formula"
        assert f"-6{decimal}9{mark}106{decimal}8" in text
        # What a spreadsheet wrote or was copied from is read as it is.
        await page.page.fill("#csv", text.replace("Kantin", "Warung").replace("Toko", "Kios").replace("kantin-", "w-"))
        await page.page.locator("[name=do][value=check]").click()
        await expect(page.page.locator("main .note.bad")).to_be_visible()
        assert page.faults == []
