"""In front of a machine: its label leads to a page that says what it is and what to do, with three buttons."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Stage, staged
from tests.browser.test_remote_access import DESK, PHONE, Room, room
from tests.support.api_hub import PASSWORD
from tests.support.browser import chromium, tab
from tests.support.until import until

__all__ = ["room"]

SMALL: Final = "all => all.filter(e => e.offsetParent && e.getBoundingClientRect().height < 56).map(e => e.textContent)"


async def test_a_label_leads_through_sign_in_to_the_machine(stage: Stage) -> None:
    async with stage.hub.client() as client:
        password = {"current_password": None, "new_password": PASSWORD}
        await client.patch("/api/v2/auth/me", json=password)
        name = (await client.get("/api/v2/rvms/1")).json()["data"]["device_id"]
    async with tab(stage.browser, stage.hub, signed_in=False, **PHONE) as page:
        await page.open(f"/m/{name}")
        await expect(page.page.locator("input[name=next]")).to_have_value(f"/m/{name}")
    async with tab(stage.browser, stage.hub, **PHONE) as page:
        await page.open(f"/m/{name}")
        await page.live()
        await expect(page.page.locator("h1")).to_have_text("RVM-001")
        await expect(page.page.locator("#front-state")).to_contain_text("Active")
        buttons = page.page.locator("#front-do .btn.big")
        assert await buttons.all_inner_texts() == [
            "Put in maintenance…", "Open terminal", "Reboot machine…", "Camera…", "Control page…",
        ]  # fmt: skip
        assert await buttons.evaluate_all(SMALL) == []
        await buttons.first.click()
        await page.page.fill("#front-why", "Ganti sensor")
        await page.page.locator("#front-do button").click()
        await until(lambda: stage.machine.asked == ["maintenance"])
        await expect(page.page).to_have_url(re.compile(f"/m/{name}\\?done="))
        await expect(page.page.locator("#front-state")).to_contain_text("Maintenance")
        await expect(page.page.locator("#why")).to_contain_text("Ganti sensor")
        await page.page.get_by_role("button", name="Put back in service").click()
        await expect(page.page.locator("#front-state")).to_contain_text("Active")
        assert page.faults == []


async def test_a_label_that_no_phone_can_follow_is_not_printed_unawares(stage: Stage) -> None:
    """The hub of this test is reached by its own computer only."""
    for path in ("/labels", "/machines/1/label"):
        async with tab(stage.browser, stage.hub, **PHONE) as page:
            await page.open(path)
            await expect(page.page.locator(".note.warn")).to_contain_text(f"a phone cannot reach {stage.hub.url}")
            await page.page.emulate_media(media="print")
            await expect(page.page.locator(".note.warn")).to_be_hidden()
            await expect(page.page.locator(".labels li").first).to_be_visible()
            assert page.faults == []


@pytest.mark.parametrize("language", ["en", "id"])
async def test_pages_are_called_by_name_from_the_label_to_the_open_page(room: Room, language: str) -> None:
    """The machine's own name for a page; its control page where the agent serves it."""
    locale, control = {"en": ("en-GB", "Control page"), "id": ("id-ID", "Halaman kendali")}[language]
    async with tab(room.browser, room.hub, **PHONE, locale=locale) as page:
        await page.open("/m/1")
        await page.live()
        await expect(page.page.locator("#front-do")).to_contain_text(control)
        await page.page.locator(".front-pages a", has_text="Kamera pintu").click()
        await page.page.fill("#lease-reason", "Gelap")
        await page.page.locator("#start-form button").click()
        await expect(page.page.locator(f"#pages [data-port='{room.port}']")).to_contain_text("Kamera pintu")
        await expect(page.page.locator(".lease .pairs")).to_contain_text("Kamera pintu")
        await expect(page.page.locator(".lease .pairs")).not_to_contain_text(str(room.port))
        await page.open("/m/1")
        async with page.context.expect_page() as opening:
            await page.page.locator(".front-pages button", has_text="Kamera pintu").click()
        await expect((await opening.value).locator("h1")).to_have_text("Camera of the machine")
        assert page.faults == []


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["390", "1440"])
async def test_pages_that_the_hub_draws_whole_follow_the_machine(stage: Stage, look: dict[str, Any]) -> None:
    """It is called otherwise, and then it is gone, while they are open."""
    key, name = stage.keys[0], "Stasiun Café $& 😀 محطة"
    pages = [
        f"/m/{key.device_id}",
        *(f"/machines/{key.id}/{end}" for end in ("do/reboot", "terminal", "label", "remove", "key", "enrol")),
    ]
    async with AsyncExitStack() as stack, stage.hub.client() as client:
        tabs = [await stack.enter_async_context(tab(stage.browser, stage.hub, **look)) for _ in pages]
        for page, path in zip(tabs, pages, strict=True):
            await page.open(path)
            await page.live()
        assert (await client.patch(f"/api/v2/rvms/{key.id}", json={"name": name})).status_code == 200
        for page, path in zip(tabs, pages, strict=True):
            await expect(page.page.locator("main bdi", has_text=name).first, path).to_be_attached()
            await expect(page.page.locator("main bdi", has_text=re.compile("^RVM-001$")), path).to_have_count(0)
            if not path.endswith("label"):
                assert name in await page.page.title(), path
        await client.delete(f"/api/v2/rvms/{key.id}", params={"confirm": name})
        for page, path in zip(tabs, pages, strict=True):
            await expect(page.page, path).to_have_url(re.compile(f"^{re.escape(stage.hub.url)}/[?]gone="))
            await expect(page.page.locator(".note.warn"), path).to_have_text(f"{name}: this machine was removed.")
            assert page.faults == [], path


async def test_labels_print_black_on_white_and_nothing_else(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, color_scheme="dark") as page:
        await page.open("/machines/1/label")
        await expect(page.page.locator(".labels li")).to_have_count(1)
        await page.page.get_by_role("link", name="Labels of all machines").click()
        await expect(page.page.locator(".labels li")).to_have_count(3)
        await expect(page.page.locator(".labels li").first).to_contain_text(f"{stage.hub.url}/m/")
        await page.page.emulate_media(media="print")
        assert await page.page.locator(".top").is_hidden()
        assert await page.page.locator("h1").is_hidden()
        assert await page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        colours = "e => e.map(c => getComputedStyle(c).color + getComputedStyle(c).backgroundColor)"
        assert set(await page.page.locator(".labels li").evaluate_all(colours)) == {"rgb(0, 0, 0)rgb(255, 255, 255)"}
        assert page.faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def camera_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with chromium(whole=True) as browser, staged(tmp_path, browser) as made:
        yield made


READER: Final = """text => {
  window.seen = 0;
  window.BarcodeDetector = class {
    constructor({formats}) { if (formats.join() !== "qr_code") throw new TypeError(formats); }
    async detect(video) { window.seen += 1; return window.seen > 2 && video.videoWidth ? [{rawValue: text}] : []; }
  };
}"""
"""What Chromium has on a phone and not on Linux: reads `text` in the third picture. The camera is Chromium's own."""


async def test_a_label_is_scanned_from_the_bottom_bar_or_typed(camera_stage: Stage) -> None:
    device_id = camera_stage.keys[0].device_id
    async with tab(camera_stage.browser, camera_stage.hub, **PHONE, locale="id-ID") as page:
        await page.open("/")
        await page.page.tap(".to-scan")
        await expect(page.page.locator("h1")).to_have_text("Pindai label")
        await expect(page.page.locator("#camera")).to_be_hidden()
        await page.page.fill("#code", "404")
        await page.page.keyboard.press("Enter")
        await expect(page.page.locator("#code")).to_have_accessible_description(re.compile("Tidak ada mesin Anda"))
        await expect(page.page.locator("#code")).to_have_value("404")
        await page.page.fill("#code", "2")
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url(f"**/m/{camera_stage.keys[1].device_id}")
        await page.context.grant_permissions(["camera"])
        await page.page.add_init_script(f"({READER})('{camera_stage.hub.url}/m/{device_id}')")
        await page.open("/scan")
        await page.page.tap("#camera button")
        await page.page.wait_for_url(f"**/m/{device_id}")
        assert page.faults == []


async def test_a_camera_that_is_refused_leaves_the_field(camera_stage: Stage) -> None:
    async with tab(camera_stage.browser, camera_stage.hub, **PHONE) as page:
        await page.page.add_init_script(f"({READER})('')")
        await page.open("/help")
        allowed = "document.featurePolicy.allowsFeature('camera')"
        assert not await page.page.evaluate(allowed)
        await page.open("/scan")
        assert await page.page.evaluate(allowed)
        await page.page.tap("#camera button")
        await expect(page.page.locator("#camera [role=alert]")).to_contain_text("The camera is not allowed here.")
        await expect(page.page.locator("#camera button")).to_have_text("Scan with the camera")
        await page.page.fill("#code", "RVM-001")
        await page.page.get_by_role("button", name="Open machine").click()
        await page.page.wait_for_url(f"**/m/{camera_stage.keys[0].device_id}")
        assert page.faults == []


async def test_without_script_what_is_typed_leads_there_too(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, **PHONE, java_script_enabled=False) as page:
        await page.open("/scan")
        await page.page.fill("#code", stage.keys[0].device_id)
        await page.page.get_by_role("button", name="Open machine").click()
        await page.page.wait_for_url(f"**/m/{stage.keys[0].device_id}")
