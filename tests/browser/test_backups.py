"""Backups in real browsers: asked for, seen on every screen, stored, looked into, deleted; without script, too."""

from __future__ import annotations

import asyncio
import re
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from protocol import messages as m
from tests.support.archives import archive, file, folder, header
from tests.support.backed_up_machine import MIB, backed_up_machine
from tests.support.backup_client import BackupClient
from tests.support.browser import Tab, tab
from tests.support.browser_client import BrowserClient
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.lively_machine import LivelyMachine, lively
from tests.support.until import until, until_answered

CARD = "#machine-jobs .job"
ROWS = ".backups tbody tr"
TAB = "/machines/1/backups"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "locale": "id-ID"}
FILES = [folder("app"), file("app/returns.db", b"rows"), folder("conf"), file("conf/rvm.json", b"{}")]
COMMANDS = ["ping", "set_status", "start_backup", "restore_backup", "verify_backup"]


@dataclass
class Vault:
    """A hub with a machine that makes backups when told to (`machine.tell`, `upload`), and one that never came."""

    hub: ForkedHub
    browser: Browser
    machine: LivelyMachine

    async def begin(self) -> None:
        await until(lambda: self.machine.commands)
        async with self.hub.client(self.machine.key.api_key) as http:
            await BackupClient(http, 1).begin(self.machine.commands[-1].args["backup_id"], backup_type="full")

    async def upload(self, data: bytes | None = None, **said: Any) -> int:
        """What the newest command asks for, as the machine's agent would; an honest archive, or `data`."""
        await until(lambda: self.machine.commands and self.machine.commands[-1].name == "start_backup")
        backup_id: int = self.machine.commands[-1].args["backup_id"]
        data = archive(header(backup_id, rvm_id=1), FILES) if data is None else data
        async with self.hub.client(self.machine.key.api_key) as http:
            client = BackupClient(http, 1)
            assert (await client.begin(backup_id, backup_type="full", compression="gzip")).status_code == 200
            await client.put_all(backup_id, data)
            answer = await client.ended(backup_id, data, **said)
        assert answer.status_code == 200, answer.text
        await self.machine.tell("succeeded", result={"backup_id": backup_id})
        return backup_id

    async def verified(self) -> None:
        """Wait for the drill of the newest one, as a program would."""
        status = ""
        async with self.hub.client() as client:
            while status != "verified":
                await asyncio.sleep(0.1)  # how often it asks
                status = (await client.get("/api/v2/rvms/1/backup/status")).json()["data"]["upload_status"]


@pytest_asyncio.fixture(loop_scope="session")
async def vault(tmp_path: Path, browser: Browser) -> AsyncIterator[Vault]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path))
        keys = [await hub.add_machine(f"RVM-00{number}") for number in (1, 2)]
        async with hub.client() as client:
            # Nothing begins by itself while these tests run, whatever the hour.
            settings = {"backup_interval": 31_536_000}
            assert (await client.patch("/api/v2/config", json=settings)).status_code == 200
        machine = await stack.enter_async_context(lively(hub, keys[0], capabilities=COMMANDS))
        machine.confirms = False
        async with BrowserClient.open(hub) as page:
            await page.shows(lambda: page.machines[1]["readings"] is not None, 20)
        yield Vault(hub, browser, machine)


async def ask(page: Tab, kind: str = "full") -> None:
    await page.page.click(f"#now [value={kind}] + span")
    await page.page.click("#now button")


async def tell(vault: Vault, phase: str, done: float | None = None, total: float | None = None) -> None:
    await until(lambda: vault.machine.commands)
    await vault.machine.tell("running", progress=m.Progress(phase=phase, done=done, total=total))


async def test_a_backup_is_the_same_on_every_screen_and_after_a_reload(vault: Vault) -> None:
    viewer = await vault.hub.people.add("viewer")
    async with tab(vault.browser, vault.hub) as mine, tab(vault.browser, vault.hub, viewer) as theirs:
        await theirs.open(TAB)
        await theirs.live()
        await expect(theirs.page.locator("#backup-history")).to_contain_text("No backup yet.")
        await expect(theirs.page.locator("#now")).to_contain_text("You need the role")
        await mine.open("/")
        await mine.live()
        await mine.open(TAB)
        await mine.live()
        await ask(mine)
        card = theirs.page.locator(CARD)
        await expect(card).to_contain_text("Back up everything")
        await tell(vault, "scanning")
        await expect(card.locator("[data-how]")).to_have_text("Looking at the files")
        await tell(vault, "sending", 107e6, 340e6)
        await expect(card.locator("[data-how]")).to_have_text("Sending: 107\u202fMB of 340\u202fMB")
        await expect(card.locator("progress")).to_have_attribute("value", "107000000")
        await expect(mine.page.locator("#now button")).to_be_disabled()
        await vault.begin()
        await expect(theirs.page.locator(ROWS)).to_contain_text("Being made")
        alive = await mine.page.inner_text(CARD)
        await mine.page.reload()
        await mine.live()
        assert await mine.page.inner_text(CARD) == alive
        await mine.page.click(f"{CARD} .confirm summary")
        await expect(mine.page.locator(CARD)).to_contain_text("What was sent so far is deleted from the hub.")
        await vault.upload(files=7, bytes=340_000_000)
        for page in (mine, theirs):
            row = page.page.locator(ROWS)
            await expect(row).to_have_count(1)
            await expect(row).to_contain_text("Verified")
            await expect(page.page.locator('[data-fact="backup"]')).to_contain_text("ago, verified")
            assert page.faults == []
        await expect(mine.page.locator("#now button")).to_be_enabled()


async def test_the_bar_moves_with_the_feed_before_the_hub_draws_its_words(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub) as page:
        await page.open(TAB)
        await page.live()
        await ask(page)
        await tell(vault, "sending", 1e6, 10e6)
        await expect(page.page.locator(f"{CARD} progress")).to_have_attribute("value", "1000000")
        await expect(page.page.locator(f"{CARD} [data-how]")).to_have_text("Sending: 1.0\u202fMB of 10\u202fMB")
        held = asyncio.Event()

        async def hold(_route: Route) -> None:
            held.set()

        await page.page.route("**/machines/1/parts**", hold)
        await tell(vault, "sending", 2e6, 10e6)
        await asyncio.wait_for(held.wait(), 60)  # one at a time: none that was drawn before is on its way any more
        await tell(vault, "sending", 9e6, 10e6)
        await expect(page.page.locator(f"{CARD} progress")).to_have_js_property("value", 9e6)
        await expect(page.page.locator(f"{CARD} [data-how]")).not_to_contain_text("9.0")
        await page.page.unroute_all(behavior="ignoreErrors")


async def test_a_backup_that_is_cancelled_says_so_and_leaves_nothing(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub) as page:
        await page.open(TAB)
        await page.live()
        await ask(page)
        await until(lambda: vault.machine.commands)
        await page.page.click(f"{CARD} .confirm summary")
        await page.page.click(f"{CARD} .confirm button")
        await expect(page.page.locator(f"{CARD} [data-how]")).to_have_text("Cancelled: the machine did not do it.")
        await expect(page.page.locator(ROWS)).to_contain_text("Cancelled")
        await expect(page.page.locator("#now button")).to_be_enabled()
        assert page.faults == []


async def test_the_fleet_shows_how_old_the_last_good_one_is_and_sorts_by_it(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub, viewport={"width": 1440, "height": 900}) as page:
        await page.open("/?sort=-backup")
        await page.live()
        cell = page.page.locator('tr[data-id="1"] .c-backup')
        await expect(cell).to_have_attribute("title", "No good backup yet")
        async with vault.hub.client() as client:
            await client.post("/api/v2/rvms/1/backup/start", json={})
        await expect(cell).to_have_attribute("title", "Backup requested, nothing sent yet")
        await vault.begin()
        await expect(cell).to_have_attribute("title", "A backup is being made")
        await vault.upload()
        await expect(cell).to_have_attribute("title", "Last good backup: verified")
        await expect(cell.locator(".val")).to_have_text(re.compile(r"^\d+\u202fs$"))
        await page.page.mouse.move(5, 5)
        await expect(page.page.locator("tbody tr:not([hidden])").first).to_have_attribute("data-id", "2")
        assert page.faults == []


async def test_many_are_asked_from_the_fleet(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub) as page:
        await page.open("/")
        await page.live()
        for rvm_id in (1, 2):
            await page.page.check(f'tr[data-id="{rvm_id}"] .x input')
        await expect(page.page.locator("#bulk-count")).to_have_text("2 selected")
        await page.page.click('#bulk [formaction="/bulk/backups"]')
        await expect(page.page.locator("main")).to_contain_text("1 is not connected: will run when it connects")
        await page.page.click("main form .btn.main")
        await expect(page.page.locator("#open .job")).to_have_count(2)
        await expect(page.page.locator("#tally")).to_contain_text(re.compile("0 of 2 done.*1 offline .queued. .show"))
        assert page.faults == []


async def test_one_backup_has_a_page_and_is_deleted_with_its_machines_name(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub) as page:
        await page.open(TAB)
        await page.live()
        await ask(page)
        report = {"lines": [{"path": "data/returns.db-wal", "code": "changed"}], "counts": {"changed": 1}}
        backup_id = await vault.upload(files=7, bytes=12, report=report)
        await page.page.click(f"{ROWS} a >> nth=0")
        await page.page.wait_for_url(f"**{TAB}/{backup_id}")
        await page.live()
        await expect(page.page.locator("#backup-whole")).to_contain_text("changed while it was read")
        async with page.page.expect_download() as coming:
            await page.page.click("#backup-whole form[action$=download] button")
        download = await coming.value
        with tarfile.open(await download.path()) as tar:
            assert "app/returns.db" in tar.getnames()
        assert download.suggested_filename.endswith(".tar.gz")
        await page.page.goto(f"{vault.hub.url}{TAB}")
        await page.page.click(f"{ROWS} a[href$='#delete']")
        await page.page.fill("#confirm", "RVM-007")
        await page.page.click("#delete button")
        await expect(page.page.locator("main > div.note.bad")).to_contain_text("The name you typed is not RVM-001.")
        await page.page.click(".confirm summary >> text=Delete")
        await page.page.fill("#confirm", "RVM-001")
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url(f"**{TAB}")
        await expect(page.page.locator(ROWS)).to_contain_text("Deleted")
        assert page.faults == []


async def test_it_is_asked_for_by_keyboard(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub) as page:
        await page.open(f"{TAB}#now")
        await page.live()
        await page.page.focus("#now [value=incremental]")
        await page.page.keyboard.press("ArrowRight")
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Space")
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Tab")
        assert await page.page.evaluate("document.activeElement.matches('#now button')")
        await page.page.keyboard.press("Enter")
        await until(lambda: vault.machine.commands)
        args = vault.machine.commands[-1].args
        assert (args["backup_type"], args["include_images"], args["include_logs"]) == ("full", False, True)


async def test_without_script_a_backup_is_asked_for_watched_and_cancelled(vault: Vault) -> None:
    async with tab(vault.browser, vault.hub, java_script_enabled=False) as page:
        await page.open("/machines/1")
        await page.page.click(".acts > a[href$='#now']")
        await page.page.wait_for_url(f"**{TAB}#now")
        await ask(page)
        await page.page.wait_for_url(f"**{TAB}")
        assert "Back up everything" in await page.page.inner_text("#machine-jobs")
        assert "Waiting for the machine" in await page.page.inner_text(ROWS)
        await vault.upload()
        await vault.verified()
        await page.page.reload()
        assert "Verified" in await page.page.inner_text(ROWS)
        await page.open("/")
        await page.page.check('tr[data-id="1"] .x input')
        await page.page.click('#bulk [formaction="/bulk/backups"]')
        await page.page.click("main form .btn.main")
        await page.page.wait_for_url("**/jobs?group=*")
        await page.page.click("#open .job .confirm summary")
        await page.page.click("#open .job .confirm button")
        await page.page.wait_for_url("**/jobs/*")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_everything_without_scrolling_aside(vault: Vault, scheme: Any) -> None:
    async with tab(vault.browser, vault.hub, color_scheme=scheme, **PHONE) as page:
        await page.open(TAB)
        await page.live()
        await ask(page)
        await tell(vault, "sending", 214e6, 340e6)
        await expect(page.page.locator(CARD)).to_contain_text("Mengirim: 214\u202fMB dari 340\u202fMB")
        backup_id = await vault.upload()
        await expect(page.page.locator(ROWS)).to_contain_text("Terverifikasi")
        for path in (TAB, f"{TAB}/{backup_id}", "/", "/machines/1", "/machines/2/backups"):
            await page.open(path)
            assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        await page.open(TAB)
        heights = await page.page.locator(f"{ROWS} .btn, #now button").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44
        assert page.faults == []


async def test_times_are_the_sites_wherever_the_browser_is(vault: Vault, zone: str) -> None:
    async with tab(vault.browser, vault.hub, timezone_id=zone) as page:
        await page.open(TAB)
        await page.live()
        words = await page.page.inner_text("#backup-plan .big-line")
        await page.page.reload()
        await page.live()
        assert await page.page.inner_text("#backup-plan .big-line") == words
        assert "WIB" in words or "Due now" in words, "inside the window there is no time to show"


async def test_a_real_machines_backup_shows_its_rate_and_its_files(tmp_path: Path, browser: Browser) -> None:
    """A real hub and a real agent: 4 MiB at 400 KiB/s."""
    async with forked_hub(tmp_path) as hub:
        async with hub.client() as client:
            settings = {"backup_interval": 31_536_000, "backup_rate": 400}
            assert (await client.patch("/api/v2/config", json=settings)).status_code == 200
        async with (
            backed_up_machine(tmp_path, hub, 4 * MIB),
            tab(browser, hub) as mine,
            tab(browser, hub, locale="id-ID") as theirs,
        ):
            await theirs.context.add_cookies([{"name": "rvm_language", "value": "id", "url": hub.url}])
            for page in (mine, theirs):
                await page.open(TAB)
                await page.live()
            await expect(mine.page.locator("#now button")).to_be_enabled()
            await ask(mine)
            how = mine.page.locator(f"{CARD} [data-how]")
            await expect(how).to_have_text(re.compile(r"^Sending: .* of 4\.2.MB, \d+.kB/s, about \d+.s left$"))
            other = theirs.page.locator(f"{CARD} [data-how]")
            await expect(other).to_have_text(re.compile(r"^Mengirim: .*MB, \d+.kB/dtk, sekitar \d+.dtk lagi$"))
            await mine.page.reload()
            await mine.live()
            await expect(how).to_have_text(re.compile(r"^Sending: .*kB/s, about"))
            row = mine.page.locator(ROWS)
            await expect(row.locator(".i.active")).to_be_visible(timeout=60_000)
            await expect(row).to_contain_text("restored and compared")
            await row.locator("a >> nth=0").click()
            await mine.page.click("#backup-files a >> text=photos")
            files = mine.page.locator("#backup-files tbody tr")
            await expect(files).to_have_count(4)
            await expect(files.first).to_contain_text("0.jpg")
            await expect(files.first).to_contain_text("1.0\u202fMB")
            assert mine.faults == theirs.faults == []


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
async def test_a_restore_begins_with_a_preview_and_wants_the_machines_name(vault: Vault, script: bool) -> None:
    """With and without script; the machine says what would change."""
    preview: dict[str, Any] = {
        "classes": {"data": {"replaced": {"count": 3, "bytes": 1_200_000}, "deleted": {"count": 1, "bytes": 10}}},
        "examples": {"replaced": ["app/returns.db"], "deleted": ["app/new.log"]},
        "now_newest": "2026-11-23T10:00:00Z",
    }
    async with tab(vault.browser, vault.hub, java_script_enabled=script) as page:

        async def shows(words: str) -> None:
            """By itself with script, after a reload without."""
            if script:
                await expect(page.page.locator("#restore-whole")).to_contain_text(words)
                return
            async with vault.hub.client() as client:
                await until_answered(lambda: ended(client), 20)
            await page.page.reload()
            assert words in await page.page.inner_text("#restore-whole")

        async def ended(client: Any) -> bool:
            newest = (await client.get("/api/v2/rvms/1/restores")).json()["data"][0]
            return newest["finished_at"] is not None

        async with vault.hub.client() as client:
            await client.post("/api/v2/rvms/1/backup/start", json={})
        backup_id = await vault.upload()
        await vault.verified()
        await page.open(TAB)
        await page.page.click(f"{ROWS} a[href$='/restore']")
        await page.page.uncheck("[name=class][value=logs]")
        await page.page.click("form[action$='/restore'] .btn.main")
        await page.page.wait_for_url("**/restores/*")
        await until(lambda: vault.machine.commands[-1].name == "restore_backup")
        args = vault.machine.commands[-1].args
        assert (args["dry_run"], args["classes"]) == (True, ["data", "configuration", "images"])
        await vault.machine.tell("succeeded", result=preview)
        await shows("What would change")
        await page.page.fill("#reason", "new controller")
        await page.page.fill("#confirm", "RVM-002")
        await page.page.click("form[action$='/restore'] .btn.danger")
        await expect(page.page.locator("main > div.note.bad")).to_contain_text("The name you typed is not RVM-001.")
        assert await page.page.input_value("#reason") == "new controller"
        await page.page.uncheck("[name=safety]")
        await page.page.fill("#confirm", "RVM-001")
        await page.page.click("form[action$='/restore'] .btn.danger")
        await page.page.wait_for_url("**/restores/*")
        await until(lambda: vault.machine.commands[-1].args.get("dry_run") is False)
        await vault.machine.tell("running", progress=m.Progress(phase="unpacking", done=1e6, total=4e6))
        if script:
            await expect(page.page.locator("#restore-whole")).to_contain_text("Unpacking beside the live files: 1.0")
        result = {"classes": {"data": {"count": 3, "bytes": 1_200_000}}, "files": 3}
        await vault.machine.tell("succeeded", result=result)
        await shows("Restored: every file was compared")
        await page.open(TAB)
        assert f"Backup {backup_id}" in await page.page.inner_text("#restore-history")
        assert page.faults == []
