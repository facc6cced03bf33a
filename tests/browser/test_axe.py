"""Every page by axe-core's rules: in Indonesian on a phone and in English in a window, light and dark, and what others
than an administrator see."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import pytest

from tests.browser.conftest import Stage
from tests.browser.test_every_width import ENTRANCES, PAGES, worst
from tests.browser.test_remote_access import DESK, PHONE
from tests.support.browser import Tab, tab

__all__ = ["worst"]

AXE: Final = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
RUN: Final = """async only => {
  const more = { "label-content-name-mismatch": { enabled: true }, "target-size": { enabled: true } };
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, ...(only.length ? { runOnly: only } : { rules: more }) });
  return violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.html.slice(0, 160)} | ${node.failureSummary.split("\\n").slice(1).join(";").slice(0, 200)}`));
}"""  # noqa: E501
"""`only`: rules; none: all. `preload` would fetch our style sheets, which no script of a page may."""
UNFOLDED: Final = """for (const each of document.querySelectorAll("main details:not(.menu, .pop)")) each.open = true;
for (const row of document.querySelectorAll("tr")) row.style.contentVisibility = "visible";"""
"""What is drawn only when it comes into view counts as well; not menus: open, they lie over one another."""
LOOKS: Final[dict[str, dict[str, Any]]] = {"390": {**PHONE, "locale": "id-ID"}, "1440": {**DESK, "locale": "en-GB"}}
TURNS: Final = 6
"""Tests that share the pages, so that none takes long."""
OF_ROLES: Final = (
    "/", "/jobs", "/machines/1", "/machines/1/remote", "/machines/1/backups", "/machines/1/settings", "/m/1",
    "/machines/1/terminal", "/admin/users", "/machines/add",
)  # fmt: skip
"""Drawn otherwise for them, or refused."""


async def axe_faults(page: Tab, path: str, schemes: tuple[Literal["light", "dark"], ...]) -> list[str]:
    """All rules in the first scheme, in others those of colours."""
    found: list[str] = []
    await page.page.emulate_media(color_scheme="light")
    await page.open(path)
    await page.page.evaluate(AXE)
    await page.page.evaluate(UNFOLDED)
    for scheme in schemes:
        await page.page.emulate_media(color_scheme=scheme)
        only = [] if scheme == schemes[0] else ["color-contrast", "link-in-text-block"]
        found += [f"{path} {scheme}: {fault}" for fault in await page.page.evaluate(RUN, only)]
    return found


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("turn", range(TURNS))
async def test_every_page_of_an_administrator(worst: Stage, look: str, turn: int) -> None:
    found: list[str] = []
    async with tab(worst.browser, worst.hub, **LOOKS[look]) as page:
        for path in PAGES[turn::TURNS]:
            found += await axe_faults(page, path, ("light", "dark"))
        assert page.faults == []
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("look", LOOKS)
async def test_the_ways_in(worst: Stage, look: str) -> None:
    found: list[str] = []
    async with tab(worst.browser, worst.hub, signed_in=False, **LOOKS[look]) as page:
        for path in ENTRANCES:
            found += await axe_faults(page, path, ("light", "dark"))
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(("role", "look"), [("operator", "1440"), ("technician", "390"), ("viewer", "390")])
async def test_what_others_see(worst: Stage, role: str, look: str) -> None:
    own = (worst.keys[0].id,) if role == "technician" else ()
    person = await worst.hub.people.add(role, own)
    found: list[str] = []
    async with tab(worst.browser, worst.hub, person, **LOOKS[look]) as page:
        for path in OF_ROLES:
            found += await axe_faults(page, path, ("light",))
        assert page.faults == []
    if found:
        pytest.fail("\n".join(found), pytrace=False)
