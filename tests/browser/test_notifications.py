"""An administrator names where trouble is sent to, tries it, reads how that ended, and takes it back, on any screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import tab

CUT_OFF = (Path(__file__).parent / "whole_page.js").read_text(encoding="utf-8")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "timezone_id": "America/New_York"}
TEXTS = {
    "en": ("Address: must be an address of a service", "is not allowed", "Removed."),
    "id": ("Alamat: harus alamat layanan", "tidak diizinkan", "Dihapus."),
}


@pytest.mark.parametrize(("look", "language"), [(PHONE, "id"), (DESK, "en")], ids=["phone", "desk"])
async def test_a_destination_is_named_tried_and_removed(stage: Stage, look: dict[str, Any], language: str) -> None:
    wrong, refused, removed = TEXTS[language]
    name = f"Operator {language}"
    async with tab(stage.browser, stage.hub, locale=f"{language}-ID", **look) as admin:
        page = admin.page
        await admin.open("/admin/notifications")
        add = page.locator("form[action='/admin/notifications'] button.main")
        await page.fill("#name", name)
        await page.fill("#address", "nonsense")
        await add.click()
        await expect(page.locator(".note.bad")).to_contain_text(wrong)
        assert await page.input_value("#name") == name
        await page.fill("#address", "json://127.0.0.1:9/s3cret")
        await page.fill("input[name=quiet_from]", "22:00")
        await page.fill("input[name=quiet_to]", "06:00")
        ends = [await page.locator(f"[name=quiet_{at}]").bounding_box() for at in ("from", "to")]
        assert len({box and box["y"] for box in ends}) == 1, "they stand beside each other"
        await add.click()
        await expect(page.locator("h1")).to_have_text(name)
        assert "s3cret" not in await page.content()
        assert await page.input_value("input[name=quiet_to]") == "06:00"
        assert await page.evaluate(CUT_OFF) == []
        await page.click("form[action$='/test'] button")
        await expect(page.locator(".note.bad")).to_contain_text(refused)
        await admin.open("/admin/notifications")
        assert await page.evaluate(CUT_OFF) == []
        await page.click(f"#destinations a:has-text('{name}')")
        await page.click("details.confirm summary")
        await page.click("form[action$='/remove'] button")
        await expect(page.locator(".note.good")).to_contain_text(removed)
        await expect(page.locator("#destinations")).to_have_count(0)
        assert admin.faults == []
