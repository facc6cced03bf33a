"""A hub whose esbuild hangs: pages come when it was given up, each file by itself, and do all they otherwise do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from dashboard import assets, esbuild
from tests.support.browser import tab
from tests.support.hub_process import hub_here
from tests.support.lively_machine import lively

CAPABILITIES = ["ping", "set_status", "sync_timezone", "restart_service", "reboot"]


@pytest.fixture
def hanging_esbuild(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    program = tmp_path / "npm/linux-x64/bin/esbuild"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    program.chmod(0o755)
    monkeypatch.setattr(esbuild, "PACKAGES", tmp_path / "npm")
    monkeypatch.setattr(esbuild, "WITHIN_S", 2.0)
    assets.assets.cache_clear()
    yield
    assets.assets.cache_clear()


@pytest.mark.usefixtures("hanging_esbuild")
async def test_pages_work_with_their_files_as_they_are(tmp_path: Path, browser: Browser) -> None:
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("RVM-001")
        async with (
            lively(hub, key, capabilities=CAPABILITIES),
            tab(browser, hub, viewport={"width": 1280, "height": 1600}) as page,
        ):
            fetched: list[str] = []
            page.page.on("request", lambda request: fetched.append(request.url))
            await page.open("/")
            await page.live()
            assert any("/js/views/fleet.js" in url for url in fetched)
            assert any("/css/tokens.css" in url for url in fetched)
            await page.page.keyboard.press("j")
            await page.page.keyboard.press("x")
            await expect(page.page.locator("#bulk-count")).to_have_text("1 selected")
            await page.open("/machines/1")
            await page.live()
            await page.page.wait_for_selector("[data-chart=load] .xaxislayer-above", state="attached")
            await page.page.check('input[value="maintenance"]', force=True)
            await page.page.fill("#reason", "Ganti sensor berat")
            await page.page.click("[data-send]")
            await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")
            for path in (
                "/jobs",
                "/events",
                "/machines/1/settings",
                "/machines/1/remote",
                "/settings",
                "/add",
                "/help",
            ):
                await page.open(path)
            assert page.faults == []


@pytest.mark.usefixtures("hanging_esbuild")
async def test_while_esbuild_hangs_only_pages_wait(tmp_path: Path) -> None:
    async with hub_here(tmp_path) as hub, httpx.AsyncClient(base_url=hub.url, timeout=30) as visitor:
        pages = [asyncio.ensure_future(visitor.get("/login")) for _ in range(3)]
        longest = 0.0
        while not all(page.done() for page in pages):
            asked = time.monotonic()
            await visitor.get("/api/v2/rvms")
            longest = max(longest, time.monotonic() - asked)
        assert 0.0 < longest < 1.5, "nothing else of the hub waited"
        assert [page.result().status_code for page in pages] == [200] * 3
