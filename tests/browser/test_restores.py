"""A restore as people follow it, by a real agent: a desk far away in English, a phone on site in Indonesian."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.backed_up_machine import BackedUpMachine
from tests.support.browser import ZONE, Tab, tab
from tests.support.forked_hub import forked_hub
from tests.support.remote_machine import remote_machine

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "timezone_id": "America/New_York"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "has_touch": True, "locale": "id-ID", "timezone_id": ZONE,
}  # fmt: skip
WHOLE = "#restore-whole"
FAULT = "main > div.note.bad"
OLDEST = 1_710_100_800  # 2024-03-10 20:00 UTC: the 11th on site
CELLS = f"{WHOLE} table.files tbody tr"
ENGLISH = ["Data 1 2.5 MB 1 1.0 kB 1 400 kB 1 10 B", "Configuration 0 0 0 1 2 B"]
INDONESIAN = ["Data 1 2,5 MB 1 1,0 kB 1 400 kB 1 10 B", "Konfigurasi 0 0 0 1 2 B"]
"""Replaced, added, deleted, unchanged: files and bytes."""
pytestmark = pytest.mark.timeout(300)
LONG_MS = 120_000
"""The archiving process has the lowest priority."""


@dataclass
class Site:
    """A machine with one good backup, whose files changed since."""

    machine: BackedUpMachine
    browser: Browser
    app: Path
    backup_id: int


def fill(app: Path, conf: Path) -> None:
    for folder in (app, conf):
        folder.mkdir(parents=True)
    (app / "returns.db").write_bytes(b"r" * 2_500_000)
    (app / "deposit.json").write_bytes(b"d" * 1000)
    (app / "tool").write_bytes(b"#!/bin/sh\n")
    (app / "tool").chmod(0o4755)
    (app / "live.tmp").write_bytes(b"then")
    (conf / "rvm.json").write_bytes(b"{}")
    os.utime(app / "tool", (OLDEST, OLDEST))


def spoil(app: Path) -> None:
    (app / "returns.db").write_bytes(b"broken")
    (app / "deposit.json").unlink()
    (app / "since.json").write_bytes(b"s" * 400_000)
    (app / "live.tmp").write_bytes(b"now")


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path, browser: Browser) -> AsyncIterator[Site]:
    app, conf = tmp_path / "srv" / "app", tmp_path / "srv" / "conf"
    fill(app, conf)
    sources = {
        "app": {"path": str(app), "class": "data", "exclude": ["*.tmp"]},
        "conf": {"path": str(conf), "class": "configuration"},
    }
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path / "hub"))
        key = await hub.add_machine("RVM-001")
        async with hub.client() as client:
            settings = {"backup_interval": 31_536_000}  # nothing begins by itself while this runs
            assert (await client.patch("/api/v2/config", json=settings)).status_code == 200
        agent = await stack.enter_async_context(
            remote_machine(tmp_path / "machine", hub.url, key, backup_sources=sources)
        )
        machine = BackedUpMachine(hub, key, agent, {})
        backup_id = await machine.ask()
        assert (await machine.verified(backup_id))["upload_status"] == "verified"
        spoil(app)
        yield Site(machine, browser, app, backup_id)


@contextlib.asynccontextmanager
async def looks(site: Site) -> AsyncIterator[tuple[Tab, Tab]]:
    hub = site.machine.hub
    async with tab(site.browser, hub, **DESK) as desk, tab(site.browser, hub, **PHONE) as phone:
        yield desk, phone
        assert desk.faults == phone.faults == []


async def fits(page: Tab) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.page.evaluate(wide) <= 0, "it scrolls sideways"


async def test_a_restore_is_seen_before_while_and_after_it_is_done(site: Site) -> None:
    async with looks(site) as (desk, phone):
        await refused_at_once(site, desk, phone)
        await previewed(site, desk, phone)
        await restored(site, desk, phone)
    assert (site.app / "returns.db").read_bytes() == b"r" * 2_500_000
    assert (site.app / "deposit.json").read_bytes() == b"d" * 1000
    assert not (site.app / "since.json").exists()
    assert (site.app / "live.tmp").read_bytes() == b"now", "what `exclude` names stays as it is"
    assert (site.app / "tool").stat().st_mode & 0o7777 == 0o755


async def refused_at_once(site: Site, desk: Tab, phone: Tab) -> None:
    """A path that leads out, with what was typed still there."""
    for page, sentence in (
        (desk, "write it as the backup's list of files shows it"),
        (phone, "tulis seperti pada daftar berkas cadangan"),
    ):
        await page.open(f"/machines/{site.machine.key.id}/backups/{site.backup_id}/restore")
        await page.page.fill("#paths", "app/../../etc/passwd")
        await page.page.click("form[action$='/restore'] .btn.main")
        await expect(page.page.locator(FAULT)).to_contain_text("app/../../etc/passwd")
        await expect(page.page.locator(FAULT)).to_contain_text(sentence)
        assert await page.page.input_value("#paths") == "app/../../etc/passwd"
        await fits(page)


async def previewed(site: Site, desk: Tab, phone: Tab) -> None:
    """Counts and sizes by class, examples, ages; what `exclude` names is not among them."""
    await desk.page.fill("#paths", "")
    await desk.page.click("form[action$='/restore'] .btn.main")
    await desk.page.wait_for_url("**/restores/*")
    await phone.open("/" + desk.page.url.split("/", 3)[3])
    await phone.live()
    for page, words, table, age in (
        (desk, "The preview is ready. Nothing has changed.", ENGLISH, "11 Mar 2024 03:00:00"),
        (phone, "Pratinjau siap. Belum ada yang berubah.", INDONESIAN, "11 Mar 2024 03.00.00"),
    ):
        whole = page.page.locator(WHOLE)
        await expect(whole).to_contain_text(words, timeout=LONG_MS)
        rows = [" ".join(text.split()) for text in await page.page.locator(CELLS).all_inner_texts()]
        assert rows == table
        await expect(whole).to_contain_text(age)  # the site's time on both screens
        assert "live.tmp" not in await page.page.inner_html(WHOLE)
        await fits(page)
    for name in ("app/returns.db", "app/deposit.json", "app/since.json"):
        assert name in await desk.page.inner_html(WHOLE)
    assert (site.app / "returns.db").read_bytes() == b"broken"


async def restored(site: Site, desk: Tab, phone: Tab) -> None:
    """By the phone: the name is typed, a safety backup comes first, both follow."""
    preview = phone.page.url
    await phone.page.fill("#reason", "Kartu rusak")
    await phone.page.fill("#confirm", "RVM-002")
    await phone.page.click("form[action$='/restore'] .btn.danger")
    await expect(phone.page.locator(FAULT)).to_contain_text("RVM-001")
    assert await phone.page.is_checked("[name=safety]")
    await phone.page.fill("#confirm", "RVM-001")
    await phone.page.click("form[action$='/restore'] .btn.danger")
    await phone.page.wait_for_url(f"**/restores/{int(preview.rpartition('/')[2]) + 1}")
    await desk.open("/" + phone.page.url.split("/", 3)[3])
    safety = f"/machines/{site.machine.key.id}/backups/{site.backup_id + 1}"
    for page, words, removed in (
        (phone, "Dipulihkan: setiap berkas dibandingkan", "app/tool"),
        (desk, "Restored: every file was compared", "No longer run as another user"),
    ):
        await expect(page.page.locator(WHOLE)).to_contain_text(words, timeout=LONG_MS)
        await expect(page.page.locator(WHOLE)).to_contain_text(removed)
        await expect(page.page.locator(f"{WHOLE} dd a")).to_have_attribute("href", safety)
        await fits(page)
