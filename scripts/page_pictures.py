"""Takes a picture of every page, as every role, for somebody to look at them before a release.

python -m scripts.page_pictures FOLDER                    all of them: about 600, within 25 minutes
python -m scripts.page_pictures FOLDER --only /machines   only of pages whose address has this; --role, --look likewise

Starts a demo of its own with people, a session, a backup and a preview, and writes FOLDER/index.html: a contact sheet a
width, scheme and language, with what a look at the page's own boxes found wrong below each picture. FOLDER belongs
outside the repository.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import html
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from playwright.async_api import Browser, BrowserContext, Page
from playwright.async_api import TimeoutError as NotSeen

from hub.routes import page_routes
from hub.web.shell.page import WebPage
from scripts.shown_demo import NAMES, PASSWORD, ROOT, VISITORS, DemoContent, Visitor, address_of, ask, running_demo
from tests.support.browser import ZONE, chromium

LIMIT_S: Final = 25 * 60
"""Then the rest is left out, and the exit code says so."""
AT_ONCE: Final = 2

PICTURED: Final[Mapping[str, tuple[str, ...]]] = {
    "/": (
        "/",
        "/?status=maintenance",
        "/?q=nothing-like-this",
        "/?group=site",
        "/?kiosk=1",
        "/?columns=status+temperature+backup",
        "/?look=cards&spark=temperature",
        "/?sort=status#row-menu",
    ),
    "/alerts": ("/alerts", "/alerts?tab=taken", "/alerts?tab=snoozed", "/alerts?tab=over"),
    "/alerts/rules": ("/alerts/rules", "/alerts/rules?cause=hot&limit=60", "/alerts/rules?cause=cpu&limit=hot"),
    "/login": ("/login",),
    "/signin": ("/signin",),
    "/account": ("/account",),
    "/account/2-step": ("/account/2-step",),
    "/help": ("/help",),
    "/help/guide": ("/help/guide",),
    "/scan": ("/scan", "/scan?code=404"),
    "/jobs": ("/jobs",),
    "/jobs/{command_id}": ("/jobs/{command}",),
    "/events": ("/events",),
    "/machines/add": ("/machines/add",),
    "/machines/import": ("/machines/import",),
    "/machines/{id}": tuple(
        f"/machines/{{{of}}}" for of in ("real", "full", "hot", "offline", "late", "maintenance", "busy", "new")
    ),
    "/m/{id}": ("/m/{real_name}", "/m/{full}", "/m/{offline}"),
    "/labels": ("/labels",),
    "/machines/{id}/label": ("/machines/{full}/label",),
    "/machines/{id}/history": (
        "/machines/{real}/history?range=1h",
        "/machines/{offline}/history",
        "/machines/{new}/history",
    ),
    "/machines/{id}/events": ("/machines/{real}/events", "/machines/{offline}/events"),
    "/machines/{id}/settings": ("/machines/{real}/settings", "/machines/{full}/settings"),
    "/machines/{id}/key": ("/machines/{new}/key", "/machines/{full}/key"),
    "/machines/{id}/remove": ("/machines/{full}/remove",),
    "/machines/{id}/do/{action}": ("/machines/{full}/do/reboot", "/machines/{offline}/do/restart_service"),
    "/machines/{id}/remote": ("/machines/{real}/remote", "/machines/{full}/remote", "/machines/{offline}/remote"),
    "/machines/{id}/terminal": ("/machines/{real}/terminal", "/machines/{full}/terminal"),
    "/recordings/{recording_id}": ("/recordings/{recording}",),
    "/machines/{id}/backups": ("/machines/{real}/backups", "/machines/{offline}/backups"),
    "/machines/{id}/backups/{backup_id}": ("/machines/{real}/backups/{backup}",),
    "/machines/{id}/backups/{backup_id}/restore": ("/machines/{real}/backups/{backup}/restore",),
    "/machines/{id}/restores/{restore_id}": ("/machines/{real}/restores/{restore}",),
    "/map": ("/map",),
    "/views": ("/views",),
    "/admin": ("/admin",),
    "/admin/system": ("/admin/system",),
    "/admin/backups": ("/admin/backups",),
    "/admin/notifications": ("/admin/notifications",),
    "/admin/notifications/{destination_id}": ("/admin/notifications/{destination}",),
    "/admin/settings": ("/admin/settings",),
    "/admin/users": ("/admin/users",),
    "/admin/users/{user_id}": ("/admin/users/{technician}", "/admin/users/{me}"),
    "/admin/tokens": ("/admin/tokens",),
    "/admin/enrol": ("/admin/enrol",),
    "/machines/{id}/enrol": ("/machines/{new}/enrol", "/machines/{full}/enrol"),
    "/{rest:path}": ("/nothing/here",),
}
"""By the route; `{names}` are of what `DemoContent` made. `{new}` differs by person: its key is shown to one."""
NOT_PICTURED: Final[Mapping[str, str]] = {
    "/events/lines": "a part of /events",
    "/login/code": "comes after a right password only",
    "/machines/palette": "drawn into a dialog of every page",
    "/machines/{id}/charts.json": "numbers for a chart",
    "/machines/{id}/history/charts.json": "the look of charts",
    "/machines/{id}/history/file.csv": "a file to download",
    "/machines/{id}/key/rvm.json": "a file to download",
    "/static/{name:path}": "files",
}
"""By the route, why there is nothing to look at."""
PRESSED: Final[Mapping[str, str]] = {"/?sort=status#row-menu": ".c-menu > a"}
"""By the address, whose fragment names what a press on the first of these opens."""
ENTRANCES: Final = ("/login", "/signin")
"""Looked at signed out."""


def viewable() -> Iterator[str]:
    """Routes that draw something for a GET: what only takes a form leads elsewhere, parts stand inside pages."""
    for route in page_routes():
        page = getattr(route, "endpoint", None)
        name = getattr(page.handlers["GET"], "__qualname__", "") if isinstance(page, WebPage) else ""
        if not name.startswith(("to_", "home", "drawn.")):
            yield str(getattr(route, "path", ""))


class Look(NamedTuple):
    width: int
    scheme: Literal["light", "dark"]
    language: str

    def __str__(self) -> str:
        return f"{self.width}_{self.scheme}_{self.language}"


SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LOOKS: Final = tuple(
    Look(width, scheme, language) for width in (1440, 390) for scheme in SCHEMES for language in ("en", "id")
)
FEW_LOOKS: Final = (Look(1440, "light", "en"), Look(390, "dark", "id"))
LOCALES: Final = {"en": "en-GB", "id": "id-ID"}
HEIGHTS: Final = {1440: 900, 390: 844}
MOST_HIGH: Final = 12_000
DRAWN: Final = "() => [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"

FAULTS: Final = (ROOT / "tests" / "browser" / "whole_page.js").read_text(encoding="utf-8")


class Picture(NamedTuple):
    visitor: str
    look: Look
    address: str
    file: str
    faults: list[str]


@dataclass
class Photographer:
    """Signs in, opens, waits until nothing moves, takes the picture."""

    browser: Browser
    content: DemoContent
    folder: Path
    only: str
    taken: list[Picture] = field(default_factory=list)

    async def visit(self, visitor: Visitor, language: str, looks: list[Look]) -> None:
        """One person's looks, one after the other: what a person chooses is the same in all windows."""
        async with self._context(Look(1440, "light", language)) as first:
            page = await first.new_page()
            await page.goto(f"{self.content.base}/login")
            await page.fill("#email", address_of(visitor, language))
            await page.fill("#password", PASSWORD)
            await page.locator("form[action='/login'] button.main").click()
            await page.wait_for_selector("body[data-person]")
            facts = self.content.facts | {"me": await page.get_attribute("body", "data-person")}
            if visitor.role == "admin":
                facts["new"] = await self._add_machine(page, language)
            state = await first.storage_state()
        for look in looks:
            await self._look(visitor, look, facts, state)

    async def _add_machine(self, page: Page, language: str) -> str:
        """Whose key is shown to this person."""
        await page.goto(f"{self.content.base}/machines/add")
        await page.fill("#name", {"en": "RVM-021 Stasiun Bogor", "id": "RVM-022 Stasiun Depok"}[language])
        await page.locator("button[formaction='/machines/add']").click()
        await page.wait_for_url(re.compile("/key$"))
        if language == "en":
            asked = {"reason": "Sabuk pemisah macet", "duration": 1800}
            await ask(page, "POST", f"/rvms/{self.content.facts['real']}/remote-access/start", asked)
        return page.url.split("/")[-2]

    async def _look(self, visitor: Visitor, look: Look, facts: Mapping[str, Any], state: Any) -> None:
        refused: set[int] = set()
        async with self._context(look, state) as context, self._context(look) as outside:
            pages = {True: await outside.new_page(), False: await context.new_page()}
            for route, addresses in PICTURED.items():
                for address in addresses:
                    if self.only not in address or (route in ENTRANCES and visitor.name != "admin"):
                        continue
                    filled = address.format_map({"new": self.content.facts["full"], **facts})
                    await self._take(pages[route in ENTRANCES], visitor, look, address, filled, refused)

    async def _take(
        self, page: Page, visitor: Visitor, look: Look, address: str, filled: str, refused: set[int]
    ) -> None:
        """One refusal a role and look is enough to look at."""
        noted: list[str] = []
        page.on("pageerror", note := lambda error: noted.append(f"script: {error}"))
        answer = await page.goto(self.content.base + filled)
        status = answer.status if answer is not None else 0
        if status in refused:
            page.remove_listener("pageerror", note)
            return
        if status >= 400:
            refused.add(status)
        if status >= 500:
            noted.append(f"answered {status}")
        await self._settle(page, look)
        if address in PRESSED and await page.locator(PRESSED[address]).count():
            await page.locator(PRESSED[address]).first.click()
            await page.locator(f"#{address.partition('#')[2]}").wait_for()
        noted += await page.evaluate(FAULTS)
        page.remove_listener("pageerror", note)
        plain = re.sub(r"[^a-z0-9]+", "_", address.lower()).strip("_") or "fleet"
        file = f"{visitor.name}_{look}_{plain}.png"
        await page.screenshot(path=self.folder / file)
        await page.set_viewport_size({"width": look.width, "height": HEIGHTS[look.width]})
        self.taken.append(Picture(visitor.name, look, address, file, noted))

    async def _settle(self, page: Page, look: Look) -> None:
        """The window grows to the page, so that charts are drawn and what sticks to its edges stands where it ends; a
        page that goes on loading is taken as it is."""
        with contextlib.suppress(NotSeen):
            await page.wait_for_load_state("networkidle", timeout=4000)
        high = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": look.width, "height": max(HEIGHTS[look.width], min(high, MOST_HIGH))})
        with contextlib.suppress(NotSeen):
            await page.wait_for_function(DRAWN, timeout=6000)
        await page.wait_for_timeout(250)

    @contextlib.asynccontextmanager
    async def _context(self, look: Look, state: Any = None) -> AsyncIterator[BrowserContext]:
        context = await self.browser.new_context(
            viewport={"width": look.width, "height": HEIGHTS[look.width]}, color_scheme=look.scheme,
            locale=LOCALES[look.language], timezone_id=ZONE, storage_state=state, has_touch=look.width < 720,
            is_mobile=look.width < 720,
        )  # fmt: skip
        try:
            yield context
        finally:
            await context.close()


def contact_sheet(pictures: list[Picture]) -> str:
    """One section a role and look; the picture itself behind each small one."""
    parts = ["<!doctype html><meta charset=utf-8><title>Pages</title><style>", SHEET_STYLE, "</style>"]
    groups = dict.fromkeys((picture.visitor, picture.look) for picture in pictures)
    links = [f"<a href='#{who}_{look}'>{who} {' '.join(map(str, look))}</a>" for who, look in groups]
    parts += ["<nav>", " · ".join(links), "</nav>"]
    for who, look in groups:
        parts.append(f"<h2 id='{who}_{look}'>{who}, {' '.join(map(str, look))}</h2><div class=w{look.width}>")
        parts += [_figure(p) for p in pictures if (p.visitor, p.look) == (who, look)]
        parts.append("</div>")
    return "\n".join(parts)


SHEET_STYLE: Final = """body{font:14px system-ui;margin:16px}div{display:flex;flex-wrap:wrap;gap:12px;align-items:start}
figure{margin:0;width:320px}.w390 figure{width:160px}img{width:100%;max-height:520px;object-fit:cover;
object-position:top;border:1px solid #888}
figcaption{overflow-wrap:anywhere}b{color:#b00020;font-weight:400;display:block}"""


def _figure(picture: Picture) -> str:
    wrong = "".join(f"<b>{html.escape(fault)}</b>" for fault in picture.faults)
    link = f"<a href='{picture.file}'><img loading=lazy src='{picture.file}' alt=''></a>"
    return f"<figure>{link}<figcaption>{html.escape(picture.address)}{wrong}</figcaption></figure>"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.page_pictures", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="pages whose address has this, as in PICTURED")
    parser.add_argument("--role", choices=[visitor.name for visitor in VISITORS], help="one visitor instead of all")
    parser.add_argument("--look", choices=[str(look) for look in LOOKS], help="one look instead of all")
    return parser.parse_args()


async def main() -> int:
    """Exit code 1: some are missing, or a look at their boxes found something."""
    wanted = arguments()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    async with running_demo() as link, chromium() as browser:
        page = await browser.new_page(timezone_id=ZONE)
        base = link.partition("/signin")[0]
        await page.goto(link)
        await page.wait_for_url(f"{base}/")
        content = DemoContent(base, page)
        await content.prepare()
        photographer = Photographer(browser, content, wanted.folder, wanted.only)
        whole = await _all(photographer, wanted, LIMIT_S - (time.monotonic() - began))
    taken = sorted(photographer.taken)
    (wanted.folder / "index.html").write_text(contact_sheet(taken), encoding="utf-8")
    found = [f"{picture.file}: {fault}" for picture in taken for fault in picture.faults]
    print("\n".join(found), file=sys.stderr)
    print(f"{len(taken)} pictures in {time.monotonic() - began:.0f} s, {len(found)} faults: {wanted.folder}/index.html")
    return 0 if whole and not found else 1


async def _all(photographer: Photographer, wanted: argparse.Namespace, seconds: float) -> bool:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(visitor: Visitor, language: str) -> None:
        looks = LOOKS if visitor.all_looks else FEW_LOOKS
        looks = tuple(look for look in LOOKS if str(look) == wanted.look) if wanted.look else looks
        mine = [look for look in looks if look.language == language]
        if mine and wanted.role in (None, visitor.name):
            async with turn:
                await photographer.visit(visitor, language, mine)

    try:
        await asyncio.wait_for(asyncio.gather(*(one(v, language) for v in VISITORS for language in NAMES)), seconds)
    except asyncio.TimeoutError:
        print(f"stopped after {LIMIT_S} s: the rest is missing", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
