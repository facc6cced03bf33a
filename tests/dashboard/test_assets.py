"""What a page needs is small, packed, and addressed by its content."""

from __future__ import annotations

import gzip
import json
import posixpath
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dashboard import assets, charts, esbuild

BUDGET = {
    "style.css": 14_000,
    "map.css": 1_024,
    "kiosk.css": 1_024,
    "cards.css": 1_024,
    "fleet.js": 12_288,
    "machine.js": 35_000,
    "history.js": 14_336,
    "events.js": 16_384,
    "jobs.js": 12_288,
    "bulk.js": 4_096,
    "settings.js": 35_000,
    "add.js": 12_288,
    "plain.js": 12_288,
    "remote.js": 16_384,
    "recording.js": 6_144,
    "lease.js": 3_072,
    "backups.js": 12_288,
    "drawn.js": 8_192,
}
SPECIFICATION = {
    "light": "--bg:#f6f7f9;--surface:#fff;--surface-2:#eceff3;--text:#141a22;--muted:#4a5564;--border:#d3d9e1;"
    "--border-strong:#76818f;--accent:#0a5aa8;--on-accent:#fff;--danger:#b3240f;--on-danger:#fff;"
    "--m-active:#006b58;--m-inactive:#84888d;--m-maintenance:#2479ee;--m-full:#a97a23;--m-error:#a50104;"
    "--m-unknown:#810b86;--l1:#135cb8;--l2:#a33d28;--l3:#17907d;--l4:#4d1f44;--l5:#b87a00",
    "dark": "--bg:#0e1217;--surface:#161b22;--surface-2:#1f2630;--text:#e9edf2;--muted:#a8b3c0;--border:#2c3540;"
    "--border-strong:#74808e;--accent:#6fb5f5;--on-accent:#06121f;--danger:#ff8f7a;--on-danger:#1c0703;"
    "--m-active:#8ee3ba;--m-inactive:#8b8c8e;--m-maintenance:#4b83d8;--m-full:#fbbb16;--m-error:#d9654b;"
    "--m-unknown:#ecd9ff;--l1:#5aa0ff;--l2:#f0573b;--l3:#8cf5d2;--l4:#a5799a;--l5:#f1df32",
}
"""The checked colours of dashboard.md 4.7."""


@pytest.mark.parametrize(("name", "most"), BUDGET.items())
def test_a_file_stays_within_its_budget(name: str, most: int) -> None:
    asset = assets.load().by_name[name]
    assert len(asset.packed) <= most
    assert gzip.decompress(asset.packed) == asset.plain


TERMINAL = ("session", "recording")
"""Scripts that come with xterm.js and count with it."""


def test_a_terminal_stays_within_its_budget() -> None:
    """xterm.js, what fits it to the page, its style sheet and our own part, fetched on Connect."""
    made = assets.load()
    assert sum(len(made.by_name[name].packed) for name in (*assets.SCREEN, "session.js")) <= 130_000
    for page in assets.PAGES:
        assert "sourceMappingURL" not in made.by_name[f"{page}.js"].plain.decode()


def test_a_hub_without_xterm_has_no_terminal_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(assets, "XTERM", tmp_path)
    bare = assets.assets.__wrapped__()
    assert bare.optional("xterm.mjs") == "" == bare.optional("xterm.css")
    assert bare["remote.js"]
    assert assets.load().optional("xterm.mjs").startswith("/static/xterm.")


def test_all_scripts_together_stay_within_theirs() -> None:
    """Each module once, however many bundles it is in. Bundled as one: of split ones the names of pieces, a hash each,
    were 2.4 kB of the sum, and by their order it was 120 bytes more or less."""
    scripts = sorted(path for path in assets.ENTRIES.values() if path.suffix == ".js" and path.stem not in TERMINAL)
    program = next(esbuild.PACKAGES.glob("*/bin/esbuild"))
    imports = "\n".join(f"import {json.dumps(str(path))};" for path in scripts)
    whole = subprocess.run([program, *esbuild.OPTIONS], input=imports.encode(), check=True, capture_output=True).stdout
    assert len(gzip.compress(whole, 9)) <= 33_000


def test_the_address_follows_the_content() -> None:
    made = assets.load()
    for name, asset in made.by_name.items():
        assert re.fullmatch(r"/static/[\w.-]+\.[0-9a-f]{12}\.(js|mjs|css|svg)", asset.address), name
        assert made.by_address[asset.address] is asset
        assert made[name] == asset.address


def test_every_colour_is_the_checked_one() -> None:
    sheet = re.sub(r"/\*.*?\*/|\s", "", (esbuild.STATIC / "css/tokens.css").read_text("utf-8"), flags=re.DOTALL)
    blocks = re.findall(r"(:root|:root\[data-theme=(?:dark|auto)\])\{color-scheme:(light|dark);([^}]*)\}", sheet)
    assert [(where, theme) for where, theme, _ in blocks] == [
        (":root", "light"), (":root[data-theme=dark]", "dark"), (":root[data-theme=auto]", "dark"),
    ]  # fmt: skip
    for _, theme, colours in blocks:
        assert colours.rstrip(";") == SPECIFICATION[theme]
    for theme, tokens in charts.TOKENS.items():
        for name, colour in tokens.items():
            assert f"--{name}:{colour};" in SPECIFICATION[theme] + ";"


def test_a_bundle_holds_what_its_page_needs_and_no_comment() -> None:
    made = assets.load()
    for name in assets.ENTRIES:
        assert not re.search(r"\b(import|export)\b[ {*\"]|@import|/\*", made.by_name[name].plain.decode()), name
    assert "Plotly" in made.by_name["machine.js"].plain.decode()
    assert "Plotly" not in made.by_name["fleet.js"].plain.decode(), "what the page does not use is left out"


def test_without_bundles_every_file_is_sent_as_it_is_and_finds_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esbuild, "bundles", lambda _entries, _base_path: None)
    plain = assets.assets.__wrapped__()
    for name, path in assets.ENTRIES.items():
        asset = plain.by_name[name]
        assert asset.plain == path.read_bytes().replace(b"BASE_PATH", b'""')
        assert re.fullmatch(rf"/static/[0-9a-f]{{12}}/(css|js/views)/{name}", asset.address)
    for address, asset in plain.by_address.items():
        if asset.address.count("/") > 2:
            for needed in re.findall(r'(?:from|@import) "(\.[^"]+)"', asset.plain.decode()):
                assert posixpath.normpath(posixpath.join(posixpath.dirname(address), needed)) in plain.by_address
    bundled = assets.load()
    assert plain["plotly.js"] == bundled["plotly.js"]
    for page in assets.PAGES:
        assert json.loads(plain.words(page, "id")).items() >= json.loads(bundled.words(page, "id")).items()


def test_a_file_that_changed_changes_the_address_of_all_that_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(esbuild, "bundles", lambda _entries, _base_path: None)
    before = assets.assets.__wrapped__()
    shutil.copytree(esbuild.STATIC, tmp_path / "static")
    (tmp_path / "static/js/dom.js").write_text("// another\n")
    moved = {name: tmp_path / "static" / path.relative_to(esbuild.STATIC) for name, path in assets.ENTRIES.items()}
    monkeypatch.setattr(assets, "ENTRIES", moved)
    monkeypatch.setattr(assets, "STATIC", tmp_path / "static")
    after = assets.assets.__wrapped__()
    assert before["fleet.js"] != after["fleet.js"]
    assert before.by_name["fleet.js"].etag == after.by_name["fleet.js"].etag, "its own content is what it was"
    assert before["icon.svg"] == after["icon.svg"]


def test_plotly_is_found_with_and_without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(assets, "BASIC_BUNDLE", tmp_path / "missing.js")
    assert assets.plotly_file().name == "plotly.min.js"
    (tmp_path / "missing.js").write_text("x")
    assert assets.plotly_file() == tmp_path / "missing.js"


@pytest.mark.parametrize(("language", "words"), [("en", "warn 90"), ("id", "batas 90")])
def test_figures_are_specified_in_python(language: str, words: str) -> None:
    limits = (("cpu_usage", 90.0, 100.0), ("temperature", 80.0, 90.0))
    made = charts.specification("dark", language, limits)
    load, heat = made["figures"]["load"], made["figures"]["temperature"]
    assert [(trace["meta"], trace["line"]["dash"]) for trace in load["data"]] == [
        ("cpu_usage", "solid"),
        ("gpu_usage", "dash"),
    ]
    assert [note["text"] for note in load["layout"]["annotations"]] == [words]
    assert [note["y"] for note in heat["layout"]["annotations"]] == [80.0, 90.0]
    assert (load["in_view"], heat["in_view"]) == (None, [80.0, 90.0])
    assert load["layout"]["legend"]["yanchor"] == "bottom"
    assert "template" not in load["layout"]
    assert load["layout"]["paper_bgcolor"] == "#161b22"
    assert not load["data"][0]["connectgaps"]
