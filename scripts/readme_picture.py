"""Makes the picture of the README from a running demo, so that it is never stale.

python -m scripts.readme_picture     starts the demo in a temporary folder, writes docs/pictures/demo-{light,dark}.png

The fleet page at 1440 pixels and a machine page on a phone stand side by side in one image, once a theme.
"""

from __future__ import annotations

import asyncio
import base64
import sys

from playwright.async_api import Browser, Page

from scripts.shown_demo import ROOT, running_demo
from tests.support.browser import chromium

PICTURES = ROOT / "docs" / "pictures"
WARM_UP_MS = 75_000
"""So long the demo runs before the pictures: a sparkline and a chart need something to show."""

SHEET = """<!doctype html><style>
body{{margin:0;background:{background};width:1600px;height:900px;position:relative;overflow:hidden}}
img{{position:absolute;border-radius:12px;box-shadow:0 6px 30px #0005}}
.desk{{left:40px;top:40px;width:1240px}} .phone{{right:40px;top:110px;width:350px}}
</style><img class=desk src="{desk}"><img class=phone src="{phone}">"""


async def main() -> int:
    """Start the demo, look at it, stop it."""
    async with running_demo() as link, chromium() as browser:
        await _take(browser, link)
    return 0


async def _take(browser: Browser, link: str) -> None:
    base = link.partition("/signin")[0]
    first = await browser.new_context(viewport={"width": 1440, "height": 940}, device_scale_factor=1.5)
    desk = await first.new_page()
    await desk.goto(link)
    await desk.wait_for_url(f"{base}/")
    second = await browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        storage_state=await first.storage_state(),
    )
    phone = await second.new_page()
    await phone.goto(f"{base}/machines/2")
    await phone.wait_for_timeout(WARM_UP_MS)
    for theme, background in (("light", "#dfe5ec"), ("dark", "#05080b")):
        for page in (desk, phone):
            await page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        await phone.wait_for_timeout(3_000)
        sheet = SHEET.format(background=background, desk=await _data(desk), phone=await _data(phone))
        canvas = await browser.new_page(viewport={"width": 1600, "height": 900})
        await canvas.set_content(sheet)
        await canvas.screenshot(path=PICTURES / f"demo-{theme}.png")
        await canvas.close()


async def _data(page: Page) -> str:
    return "data:image/png;base64," + base64.b64encode(await page.screenshot()).decode()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
