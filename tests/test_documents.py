"""The pages for people who work on MyRVM: what they name is there, what they link to is there, and they stay short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import AROUND, PRODUCT

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "bench" / "README.md"])
ROOMS = (*PRODUCT, *AROUND, "docs", "locks")
MADE_OR_OLD = ("CHANGELOG.md", "configuration.md", "protocol.md")
"""Generated, or of versions that are gone."""
MADE_BY_A_COMMAND = "certs/private/"
LONGEST = 100
"""Lines of a page about one way through the house: a screen or two."""
CHANGELOG_HEADS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
LONGEST_ENTRY = 240
"""Letters of an entry of the changelog: two lines of a wide terminal."""
WAYS = (
    "adding", "architecture", "audit_log", "backup", "bounds", "command", "database", "enrolment", "feed", "link",
    "machine_pages", "notifications", "remote_session", "restore", "sample", "setting", "status", "trouble", "tunnel",
)  # fmt: skip
PLACEHOLDER = re.compile(r"\b(NAME|ROOM|SUBJECT|x|test_x)\b|[*{…]")


def named_paths(text: str) -> Iterator[str]:
    """What stands in backticks and is a path of the repository from its root (or a file beside the page)."""
    for quoted in re.findall(r"`([^`\s]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        path = quoted.partition(":")[0].partition("#")[0]
        if PLACEHOLDER.search(path) or path.startswith(MADE_BY_A_COMMAND):
            continue
        in_a_room = "/" in path and path.partition("/")[0] in ROOMS
        if in_a_room or re.fullmatch(r"\w+\.(py|js)", path):
            yield path


def named_modules(text: str) -> Iterator[str]:
    """Modules after `python -m`, and dotted names in backticks that begin with a room of ours."""
    yield from re.findall(r"python3? -m ((?:bench|scripts|hub|device|demo)[\w.]*)", text)
    for quoted in re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", text):
        if quoted.partition(".")[0] in ("scripts", "bench") and quoted.rpartition(".")[2] not in ("py", "md"):
            yield quoted


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in MADE_OR_OLD], ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [
        path for path in sorted(set(named_paths(text))) if not ((ROOT / path).exists() or (page.parent / path).exists())
    ]
    missing += [
        name
        for name in sorted(set(named_modules(text)))
        if not (ROOT / (name.replace(".", "/") + ".py")).exists() and not (ROOT / name.replace(".", "/")).is_dir()
    ]
    assert missing == []


def test_a_path_that_is_gone_is_seen() -> None:
    text = "`hub/gone.py`, `gone.py`, `docs/gone.md#x`, `hub/gone/`, `hub/ROOM/api.py`, `GET /hub/y.py`"
    text += "\n```\n`hub/block.py`\n```"
    assert list(named_paths(text)) == ["hub/gone.py", "gone.py", "docs/gone.md", "hub/gone/"]
    assert list(named_modules("`.venv/bin/python -m scripts.gone`, `bench.gone`, `bench.gone.py`")) == [
        "scripts.gone",
        "bench.gone",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], link


def test_the_overview_links_to_every_way_and_each_is_short() -> None:
    overview = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for way in WAYS:
        page = ROOT / "docs" / f"{way}.md"
        assert page.name == "architecture.md" or f"]({page.name})" in overview, page.name
        assert len(page.read_text(encoding="utf-8").splitlines()) <= LONGEST, page.name
    rest = {
        "configuration",
        "field_guide",
        "jetson",
        "machine_software",
        "operating",
        "panduan_lapangan",
        "privileges",
        "protocol",
        "security",
        "terms",
    }
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} == {*WAYS, *rest}


def test_the_changelog_keeps_its_form_and_can_be_read() -> None:
    """Keep a Changelog's heads in their order, a line an entry, and few enough to be read before an update."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    for release in releases:
        title, _, entries = release.partition("\n")
        assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title)
        heads = re.findall(r"^### (.+)$", entries, re.MULTILINE)
        assert heads == [head for head in CHANGELOG_HEADS if head in heads], title
        assert len(entries.splitlines()) <= LONGEST, f"{title}: join what belongs to one subject"
    long = [line for line in text.splitlines() if line.startswith("- ") and len(line) > LONGEST_ENTRY]
    assert long == []
