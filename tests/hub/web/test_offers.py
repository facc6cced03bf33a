"""No page offers a person what they may not do: every link and form of every page they reach is theirs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from starlette.routing import Match

from db.records import MachineRow
from hub.machines import tab
from hub.model.changes import Patch
from hub.routes import page_routes
from tests.hub.web.access_rows import ROWS
from tests.hub.web.test_access_matrix import backup_of, preview_of, recording_of
from tests.support.api_hub import ApiHub, api_hub
from tests.support.page_visitor import browser

VOID: Final = frozenset({"area", "br", "hr", "img", "input", "link", "meta", "wbr"})
CALLERS: Final = {"viewer": "viewer", "technician": "own_technician", "operator": "operator", "admin": "admin"}
ROUTES: Final = page_routes()


class Form(NamedTuple):
    """`within`: ids around it."""

    action: str
    is_open: bool
    within: tuple[str, ...]


class Page(HTMLParser):
    """Links that are offered, and forms that change something; a locked one says so on the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, bool]] = []
        """And whether it is a tab: those are there for what is read, too."""
        self.ids: set[str] = set()
        self.forms: list[Form] = []
        self._around: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.ids.add(has.get("id") or "")
        is_tab = any(each == "nav" and of.get("class") == "tabs" for each, of in self._around)
        is_tab |= (has.get("data-key") or "").startswith("tab.")
        href = has.get("href") or ""
        is_away = any(each == "template" or "hidden" in of for each, of in (*self._around, (tag, has)))
        if tag == "a" and href.startswith("/") and not is_away and has.get("aria-disabled") != "true":
            self.links.append((href, is_tab))
        if tag not in VOID:
            self._around.append((tag, has))
        if tag == "form" and has.get("method") == "post":
            within = tuple(of.get("id") or "" for _, of in self._around)
            self.forms.append(Form(has.get("action") or "", is_open=False, within=within))
        is_locked = "disabled" in has or any("disabled" in of for _, of in self._around)
        if tag == "button" and has.get("type", "submit") == "submit" and not is_locked and self._in_form():
            self.forms[-1] = self.forms[-1]._replace(is_open=True)

    def handle_endtag(self, tag: str) -> None:
        while self._around and self._around.pop()[0] != tag:
            pass

    def _in_form(self) -> bool:
        return any(tag == "form" and of.get("method") == "post" for tag, of in self._around)


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    """Machine one has everything that leads somewhere: a backup, a restore, a recording, a board that waits."""
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        one = made.machines["one"]
        await preview_of(made, one, await backup_of(made, one))
        await recording_of(made, one)
        board = {"board": {"serial": "1424"}, "board_other": {"serial": "1599"}}
        await made.context.announce(Patch(MachineRow, one, {**board, "board_other_at": made.context.clock()}))
        yield made


def template_of(path: str) -> str:
    """Of the page that answers there."""
    scope = {"type": "http", "method": "POST", "path": path, "root_path": ""}
    return next(getattr(route, "path", "") for route in ROUTES if route.matches(scope)[0] != Match.NONE)


def refused_forms(page: Page, name: str) -> Iterator[str]:
    for form in page.forms:
        path = re.sub(r"[?#].*", "", form.action)
        if form.is_open and ROWS[f"POST {template_of(path)}"][CALLERS[name]] == "role":
            yield form.action


def leads_to_a_lock(page: Page, fragment: str) -> bool:
    """Whether the part of the page is a locked form."""
    own = [form for form in page.forms if fragment in form.within]
    return bool(own) and not any(form.is_open for form in own)


def is_locked_form(path: str, name: str) -> bool:
    """Whether the page is there for a form alone that may not be sent; settings are read as well."""
    template = template_of(path)
    is_theirs = ROWS.get(f"POST {template}", {}).get(CALLERS[name]) != "role"
    return not is_theirs and not template.endswith("/settings")


@pytest.mark.parametrize("name", CALLERS)
async def test_nobody_is_offered_what_they_may_not_do(hub: ApiHub, name: str) -> None:
    pages: dict[str, Page] = {}
    wrong: set[str] = set()
    to_see = [("/", ("/", False))]
    async with await browser(hub, name) as person:
        for rvm_id in hub.machines.values():
            answer = await person.get(f"/machines/{rvm_id}/parts?of=row-menu")
            menu = Page(answer.text if answer.status_code == 200 else "")
            wrong |= {f"a row's menu has a form for {action}" for action in refused_forms(menu, name)}
            to_see += [("a row's menu", each) for each in menu.links]
        assert len(to_see) > len(tab.TABS)
        while to_see:
            seen_on, (link, is_tab) = to_see.pop()
            path, fragment = urlsplit(link).path, urlsplit(link).fragment
            if path not in pages:
                answer = await person.get(path, follow_redirects=True)
                if answer.status_code != 200:
                    wrong.add(f"{seen_on} leads to {link}: {answer.status_code}")
                    continue
                page = pages[path] = Page(answer.text if "</html>" in answer.text else "")
                wrong |= {f"{path} has a form for {action}" for action in refused_forms(page, name)}
                to_see += [(path, each) for each in dict.fromkeys(page.links)]
            if fragment and fragment not in pages[path].ids:
                wrong.add(f"{seen_on} leads to {link}: it is not there")
            elif not is_tab and (leads_to_a_lock(pages[path], fragment) if fragment else is_locked_form(path, name)):
                wrong.add(f"{seen_on} leads to {link}, which is locked")
    assert len(pages) > 15
    assert not wrong, "\n".join(sorted(wrong))
