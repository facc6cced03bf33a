"""Everything filled in is text."""

from __future__ import annotations

import pytest

from device.control_page.page import Safe, fill, joined, text

HOSTILE = ["<script>alert(1)</script>", '" onmouseover="x', "' x='", "</pre><img src=x>", "&lt;", "{title}", "{0}"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_never_markup(value: str) -> None:
    filled = fill('<p title="{a}">{a}</p>', a=value)
    assert filled.count("<") == 2
    assert filled.count('"') == 2
    assert "'" not in filled


def test_what_was_filled_is_not_escaped_again() -> None:
    inner = fill("<b>{x}</b>", x="<")
    assert fill("<p>{inner}</p>", inner=joined([inner, inner])) == "<p><b>&lt;</b><b>&lt;</b></p>"
    assert text(Safe("<i>")) == "<i>"


def test_characters_that_turn_or_hide_text_are_shown_as_such() -> None:
    assert text("a\u202eb\x1b[0m\nc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[0m\nc"
