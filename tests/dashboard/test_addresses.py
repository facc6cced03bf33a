"""No template and no script writes an address that would be wrong below a path of a site."""

from __future__ import annotations

import re

import pytest

from dashboard import assets, pages
from dashboard.esbuild import STATIC

_IN_TEMPLATE = re.compile(r"""([\w-]+)=(["'])(?:/(?!/)|\{\{ *frame\.assets\b(?!\.words))""")
_IN_SCRIPT = re.compile(r"""(?:(?<=["'`])|(?<=host\}))/[a-z?$]|(?<=assign\(["'`])/""")
_COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)


def test_templates_hold_addresses_in_attributes_that_are_known() -> None:
    """`dashboard.pages.below` writes the path into these, and into no other."""
    for file in sorted(pages.FOLDER.glob("*.html")):
        for name, quote in _IN_TEMPLATE.findall(file.read_text()):
            assert quote == '"', f'{file.name}: write {name}="..." with double quotes'
            assert name in {*pages.ADDRESSES, "value", "set"}, (
                f"{file.name}: {name} holds an address: name it in ADDRESSES of dashboard/pages.py"
            )


def test_scripts_write_the_base_path_before_each_address() -> None:
    for file in sorted((STATIC / "js").rglob("*.js")):
        text = _COMMENT.sub("", file.read_text())
        found = [text[max(0, at.start() - 30) : at.end() + 20] for at in _IN_SCRIPT.finditer(text)]
        assert found == [], f"{file.name}: write `${{BASE_PATH}}/...`"


@pytest.mark.parametrize(
    "wrong", ['fetch("/api/v2/rvms")', "`/jobs?${query}`", 'location.assign("/")', "${location.host}/ws/dashboard`"]
)
def test_a_script_that_forgets_it_is_found(wrong: str) -> None:
    assert _IN_SCRIPT.search(wrong)


@pytest.mark.parametrize(
    ("html", "made"),
    [
        ('<a class="x" href="/jobs">', '<a class="x" href="/rvm/jobs">'),
        ('<a href="/">', '<a href="/rvm/">'),
        ('<form method="post" action="/login">', '<form method="post" action="/rvm/login">'),
        ('<a href="#now"><use href="#live"/>', '<a href="#now"><use href="#live"/>'),
        ('<a href="//elsewhere/">', '<a href="//elsewhere/">'),
        ('<a href="https://x/">', '<a href="https://x/">'),
        ('<input name="back" value="/jobs">', '<input name="back" value="/jobs">'),
        ("<td> href=&#34;/jobs&#34;</td>", "<td> href=&#34;/jobs&#34;</td>"),
    ],
)
def test_only_addresses_of_the_hub_get_it(html: str, made: str) -> None:
    assert pages.below(html, "/rvm") == made
    assert pages.below(html, "") == html


def test_a_bundle_has_it_written_out_and_without_one_costs_nothing() -> None:
    plain, below = assets.load(), assets.load("/rvm")
    for name in assets.ENTRIES:
        script, short = below.by_name[name].plain.decode(), plain.by_name[name].plain.decode()
        assert "BASE_PATH" not in script + short
        assert script.replace("/rvm/", "/").replace(".slice(4).match", ".slice(0).match") == short
    assert '"/rvm/api/v2/auth/me"' in below.by_name["fleet.js"].plain.decode().replace("`", '"')
    assert below.by_name["fleet.js"].address != plain.by_name["fleet.js"].address
