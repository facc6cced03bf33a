"""A real Chromium for tests of pages: found on this computer, headless, calling nobody, watched for scripts."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.browser_client import cookie
from tests.support.hub_people import Person
from tests.support.hub_process import Hub

PLACES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""First the shell: the same engine without what a person's browser makes anew for each context (a profile, a window,
pages of its own), 1 s of a processor each. It asks nobody for a camera: that takes a whole browser."""
SHELL = PLACES[0]
ZONE = "Asia/Jakarta"
"""Of every browser that was not given another: the site's, so that no test takes UTC for it."""
LATELY, SHORTLY = "(?:today|yesterday)", "(?:tomorrow|today)"
"""The day of what was just now, or is in a day: a test may begin before the site's midnight and look after it."""
QUIET = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--disable-domain-reliability", "--disable-gpu", "--use-fake-device-for-media-stream",
)  # fmt: skip


def executable(*, whole: bool = False) -> str:
    """The browser of this computer; the test is skipped, saying so, when there is none."""
    places = [name for name in PLACES if not (whole and name == SHELL)]
    named = os.environ.get("TEST_CHROMIUM") or next((found for name in places if (found := shutil.which(name))), None)
    if named is None:
        pytest.skip("no Chromium on this computer (set TEST_CHROMIUM to its path)")
    return named


@contextlib.asynccontextmanager
async def chromium(*, whole: bool = False) -> AsyncIterator[Browser]:
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(whole=whole), args=[*QUIET, *root])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """One page of one person; `faults` are script errors, what our policy refused, and dialogs: no page of ours may
    have any."""

    hub: Hub
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(self.hub.url + path)

    async def live(self) -> None:
        """Wait until the page hears the hub."""
        await self.page.wait_for_selector("body[data-link=live]")

    async def picture(self, file: Path) -> bytes:
        return await self.page.screenshot(path=file)


@contextlib.asynccontextmanager
async def tab(
    browser: Browser, hub: Hub, person: Person | None = None, *, signed_in: bool = True, **look: Any
) -> AsyncIterator[Tab]:
    """A tab of `person` (the administrator). `look` is Playwright's: viewport, timezone_id, java_script_enabled."""
    usual = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "timezone_id": ZONE}
    context = await browser.new_context(**{**usual, **look})
    if signed_in:
        name, _, value = cookie(hub, person or hub.admin)["Cookie"].partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": hub.url}])
    made = Tab(hub, context, await context.new_page())
    made.page.set_default_timeout(60_000)
    made.page.set_default_navigation_timeout(60_000)  # a busy computer, no fault of the page
    made.page.on("pageerror", lambda error: made.faults.append(str(error)))

    def note(message: Any) -> None:
        if "Content Security Policy" in message.text:
            made.faults.append(message.text)

    made.page.on("console", note)

    async def refuse(dialog: Any) -> None:
        made.faults.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    made.page.on("dialog", refuse)
    try:
        yield made
    finally:
        await context.close()
