"""Remote access in a real browser, against a real hub and a real agent, on a desk and on a phone."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dashboard.texts import texts_in
from tests.support.browser import Tab, tab
from tests.support.file_names import NAMES, UNFIT
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_people import MachineKey
from tests.support.remote_machine import RemoteMachine, remote_machine
from tests.support.remote_operator import RemoteOperator

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PAGE = b"<!doctype html><title>Camera</title><h1>Camera of the machine</h1>"


@dataclass
class Room:
    hub: ForkedHub
    browser: Browser
    key: MachineKey
    machine: RemoteMachine
    port: int

    @property
    def operator(self) -> RemoteOperator:
        return RemoteOperator(self.hub, self.hub.admin)


@asynccontextmanager
async def page_server() -> AsyncIterator[int]:
    """What the machine serves on its loopback, as its camera does on port 5000."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + PAGE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@pytest_asyncio.fixture(loop_scope="session")
async def room(tmp_path: Path, browser: Browser) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path))
        port = await stack.enter_async_context(page_server())
        key = await hub.add_machine("RVM-001")
        machine = await stack.enter_async_context(
            remote_machine(
                tmp_path / "machine", hub.url, key, ports=[port], remote_page_names={str(port): "Kamera pintu"}
            )
        )
        (machine.files / "belt.log").write_text("the belt stopped\n")
        made = Room(hub, browser, key, machine, port)
        await made.operator.present(key)
        yield made


SHOWN_FOR_3_S = """selector => new Promise(done => {
  const found = [];
  new MutationObserver(() => found.push(document.querySelector(selector).textContent))
    .observe(document.querySelector(selector), {childList: true, characterData: true, subtree: true});
  setTimeout(() => done(found), 3000);
})"""
"""Every text that stood in an element meanwhile."""


async def begin(page: Tab, reason: str = "The camera is dark") -> None:
    """By the form; returns when the machine is in the lease."""
    await page.open("/machines/1/remote")
    await page.live()
    await page.page.fill("#lease-reason", reason)
    await page.page.click("#start-form button")
    await expect(page.page.locator(".lease.active")).to_be_visible()
    await page.live()


async def connect(page: Page) -> None:
    terminal = page.locator("#terminal")
    await expect(terminal).to_contain_text("is recorded")
    await page.click("[data-term=connect]")
    await expect(page.locator("[data-term=tools]")).to_be_visible()


def screen(page: Page) -> Any:
    return page.locator(".xterm-rows")


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["1440", "390"])
async def test_who_is_signed_out_reads_nothing_more_of_an_open_session(room: Room, look: dict[str, Any]) -> None:
    """It may be over: a clock that goes on, and a chip that says it reconnects, would be untrue."""
    budi = await room.hub.people.add("operator")
    async with tab(room.browser, room.hub, budi, **look) as page, room.hub.client() as admin:
        await begin(page)
        left, chip = page.page.locator(".lease [data-left]"), page.page.locator("#lease-chip")
        await expect(left).to_be_visible()
        await expect(chip).to_be_visible()
        assert (await admin.patch(f"/api/v2/users/{budi.id}", json={"disabled": True})).is_success
        await expect(page.page.locator("#link-bar")).to_contain_text("You were signed out.")
        for gone in (left, chip, page.page.locator(".lease .pill"), page.page.locator("#link-chip")):
            await expect(gone).to_be_hidden()
        assert page.faults == []


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["1440", "390"])
async def test_a_remote_session_from_its_start_to_its_end(room: Room, look: dict[str, Any], tmp_path: Path) -> None:
    """Start, type `echo`, see it, open the machine's page, take and give a file, end: it is back in service."""
    async with tab(room.browser, room.hub, **look) as page:
        await begin(page)
        await expect(page.page.locator("#status-pill")).to_contain_text("Maintenance")
        await expect(page.page.locator("#lease-chip")).to_be_visible()
        await connect(page.page)
        await page.page.keyboard.type("echo h\u00e9llo-$((20+22))\n")
        await expect(screen(page.page)).to_contain_text("h\u00e9llo-42")
        async with page.context.expect_page() as opening:
            await page.page.click(f"[data-port='{room.port}']")
        opened = await opening.value
        await expect(opened.locator("h1")).to_have_text("Camera of the machine")
        await opened.close()
        await page.page.click(f"[data-folder='{room.machine.files}']")
        await expect(page.page.locator("#files tbody")).to_contain_text("belt.log")
        async with page.page.expect_download() as taking:
            await page.page.locator("#files tbody button", has_text="Download").click()
        taken = await (await taking.value).path()
        assert await asyncio.to_thread(Path(taken).read_text) == "the belt stopped\n"
        (tmp_path / "fix.txt").write_text("new belt")
        await page.page.set_input_files("#a-file", tmp_path / "fix.txt")
        await page.page.locator("[data-upload] button").click()
        await expect(page.page.locator("[data-saved]")).to_contain_text("Uploaded: ")
        assert (room.machine.files / "fix.txt").read_text() == "new belt"
        assert await page.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await page.page.locator(".lease").get_by_role("button", name="End now").click()
        await expect(page.page.locator("[data-term=note]")).to_contain_text("The access is over")
        await expect(screen(page.page)).to_contain_text("h\u00e9llo-42")
        await expect(page.page.locator("#status-pill")).to_contain_text("Active")
        await expect(page.page.locator(".lease .pill")).to_have_text("Ended")
        await expect(page.page.locator(".lease").get_by_role("button", name="End now")).to_be_hidden()
        await page.page.click("#stale a")
        await expect(page.page.locator("#past tbody")).to_contain_text("The camera is dark")
        await expect(page.page.locator("#past tbody")).to_contain_text("Ended by admin")
        await expect(page.page.locator("#lease-chip")).to_be_hidden()
        assert page.faults == []


async def test_the_name_of_a_file_is_the_same_on_both_sides(room: Room, tmp_path: Path) -> None:
    """Up from a browser, shown, and down again; what nobody can ask for says so."""
    for unfit in UNFIT:
        os.close(os.open(os.fsencode(room.machine.files) + b"/" + unfit, os.O_CREAT | os.O_CLOEXEC))
    async with tab(room.browser, room.hub, **DESK) as page:
        await begin(page)
        for name in NAMES:
            (tmp_path / name).write_text(name)
            await page.page.set_input_files("#a-file", tmp_path / name)
            await page.page.locator("[data-upload] button").click()
            await expect(page.page.locator("[data-saved]")).to_contain_text(name.strip())
            assert (room.machine.files / name).read_text() == name
        await page.page.click(f"[data-folder='{room.machine.files}']")
        rows = page.page.locator("#files tbody tr")
        await expect(rows).to_have_count(len(NAMES) + len(UNFIT) + 1)
        await expect(rows.filter(has_text="cannot be fetched by this name")).to_have_count(len(UNFIT))
        for name in NAMES[:3]:  # of a family joined without width Chromium itself makes single persons
            async with page.page.expect_download() as taking:
                await rows.filter(has_text=name).locator("button").click()
            taken = await taking.value
            assert await asyncio.to_thread(Path(await taken.path()).read_text) == name
            assert taken.suggested_filename == name
        assert page.faults == []


@pytest.mark.parametrize(("look", "language"), [(PHONE, "id"), (DESK, "en")], ids=["390", "1440"])
async def test_a_file_of_that_name_is_replaced_by_the_box_that_the_refusal_names(
    room: Room, look: dict[str, Any], language: str, tmp_path: Path
) -> None:
    (room.machine.files / "fix.txt").write_text("old belt")
    (tmp_path / "fix.txt").write_text("new belt")
    async with tab(room.browser, room.hub, **look, locale={"en": "en-GB", "id": "id-ID"}[language]) as page:
        await begin(page)
        await page.page.set_input_files("#a-file", tmp_path / "fix.txt")
        await page.page.locator("[data-upload] button").click()
        fault = page.page.locator("#files [data-fault]")
        await expect(fault).to_contain_text(texts_in(language)("files.overwrite"))
        await expect(fault).not_to_contain_text("overwrite")
        assert (room.machine.files / "fix.txt").read_text() == "old belt"
        await page.page.check("[name=overwrite]")
        await page.page.locator("[data-upload] button").click()
        done = {"en": "Uploaded: ", "id": "Berhasil diunggah: "}[language]
        await expect(page.page.locator("[data-saved]")).to_contain_text(f"{done}{room.machine.files}/fix.txt")
        await expect(fault).to_be_hidden()
        assert (room.machine.files / "fix.txt").read_text() == "new belt"
        assert page.faults == []


async def test_a_recording_is_played_with_speed_and_seek(room: Room) -> None:
    async with tab(room.browser, room.hub, **DESK) as page:
        await begin(page)
        await connect(page.page)
        await page.page.keyboard.type("echo seen-$((1+1))\n")
        await expect(screen(page.page)).to_contain_text("seen-2")
        await page.page.click("[data-term=close]")
        await page.page.locator(".lease").get_by_role("button", name="End now").click()
        await page.page.click("#stale a")
        await page.page.click("#past .rec-link")
        await page.page.click("[data-play=start]")
        await page.page.select_option("[data-play=speed]", "16")
        await expect(screen(page.page)).to_contain_text("seen-2")
        await expect(page.page.locator("[data-play=toggle]")).to_have_text("Play")
        await page.page.locator("[data-play=seek]").fill("0")
        await expect(screen(page.page)).not_to_contain_text("seen-2")
        events = [event["code"] for event in await room.operator.get("/events?kind=recording&limit=20")]
        assert "recording.played" in events
        assert page.faults == []


async def test_a_lost_connection_comes_back_to_the_same_shell(room: Room) -> None:
    """The browser loses its network: what was written stays, and the shell goes on."""
    async with tab(room.browser, room.hub, **DESK) as page:
        sockets: list[Any] = []
        await page.page.route_web_socket(
            "**/ws/terminal", lambda route: sockets.append((route, route.connect_to_server()))
        )
        await begin(page)
        await connect(page.page)
        await page.page.keyboard.type("kept=before\n")
        await expect(screen(page.page)).to_contain_text("kept=before")
        await sockets[0][0].close(code=1011)
        await expect(screen(page.page)).to_contain_text(re.compile(r"— connection lost \d\d:\d\d:\d\d —"))
        await expect(screen(page.page)).to_contain_text("connected again")
        await page.page.keyboard.type("echo $kept-and-after\n")
        await expect(screen(page.page)).to_contain_text("before-and-after")
        assert page.faults == []


async def test_keys_of_the_page_sleep_in_the_terminal_and_it_can_be_left(room: Room) -> None:
    async with tab(room.browser, room.hub, **DESK) as page:
        await begin(page)
        await connect(page.page)
        await page.page.keyboard.type("?gm")
        await page.page.keyboard.press("Escape")
        assert await page.page.evaluate("document.activeElement.closest('[data-screen]') !== null")
        await expect(page.page.locator("#shortcuts")).to_be_hidden()
        await page.page.keyboard.press("Control+Shift+Escape")
        assert await page.page.evaluate("document.activeElement.closest('[data-screen]') === null")
        assert page.page.url.endswith("/machines/1/remote")


async def test_a_remote_session_is_seen_everywhere_while_it_lasts(room: Room) -> None:
    """In the fleet's row by everybody, in the bar of its holder on pages with and without live values."""
    async with tab(room.browser, room.hub, **DESK) as fleet:
        await fleet.open("/")
        await fleet.live()
        session = await room.operator.lease(room.key)
        await expect(fleet.page.locator("tr [data-lease]")).to_contain_text(re.compile(r"\d+:\d\d"))
        await expect(fleet.page.locator("#lease-chip")).to_contain_text("RVM-001")
        for path in ("/account", "/jobs", "/machines/1"):
            await fleet.open(path)
            chip = fleet.page.locator("#lease-chip [data-left]")
            await expect(chip).to_contain_text(re.compile(r"\d+:\d\d"))
            before = await chip.inner_text()
            await expect(chip).not_to_have_text(before)
        await fleet.open("/machines/1/remote")
        await fleet.live()
        shown: list[str] = await fleet.page.evaluate(SHOWN_FOR_3_S, "#lease-chip [data-left]")
        assert shown
        assert all(re.fullmatch(r"\d+:\d\d", words) for words in shown), shown
        await fleet.open("/")
        await fleet.live()
        await room.operator.stop(room.key, session_id=session["id"])
        await expect(fleet.page.locator("tr [data-lease]")).to_have_count(0)
        await expect(fleet.page.locator("#lease-chip")).to_be_hidden()
        assert fleet.faults == []


async def test_a_remote_session_works_by_plain_forms(room: Room) -> None:
    async with tab(room.browser, room.hub, java_script_enabled=False, **DESK) as page:
        await page.open("/machines/1/remote")
        await page.page.fill("#lease-reason", "Without a script")
        await page.page.check("[name=minutes][value='15']", force=True)
        await page.page.click("#start-form button")
        await room.operator.machine(room.key, lambda found: found["effective_status"] == "maintenance")
        await page.open("/machines/1/remote")
        await page.page.locator(".lease").get_by_role("button", name="Extend 15 min").click()
        await expect(page.page.locator(".lease [data-left]")).to_contain_text(re.compile(r"(29|30):\d\d"))
        await page.page.locator(".lease").get_by_role("button", name="End now").click()
        await room.operator.machine(room.key, lambda found: found["effective_status"] == "active")
        await page.open("/machines/1/remote")
        await expect(page.page.locator("#past tbody")).to_contain_text("Without a script")
