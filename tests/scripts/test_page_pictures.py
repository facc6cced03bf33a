"""scripts/page_pictures.py: no page is forgotten, and the sheet shows every picture with what is wrong in it."""

from __future__ import annotations

from hub.routes import page_routes
from scripts.page_pictures import LOOKS, NOT_PICTURED, PICTURED, Look, Picture, contact_sheet, viewable


def test_every_page_is_pictured_or_named_with_the_reason() -> None:
    """A new page: a line of PICTURED; one that draws nothing: a line of NOT_PICTURED."""
    assert [path for path in viewable() if path not in PICTURED and path not in NOT_PICTURED] == []


def test_nothing_is_pictured_that_is_gone() -> None:
    paths = {str(getattr(route, "path", "")) for route in page_routes()}
    assert [path for path in (*PICTURED, *NOT_PICTURED) if path not in paths] == []
    assert PICTURED.keys().isdisjoint(NOT_PICTURED)


def test_what_only_takes_a_form_is_no_page() -> None:
    found = set(viewable())
    assert {"/", "/machines/{id}", "/admin/users"} <= found
    assert found.isdisjoint(
        {"/machines/parts", "/machines/{id}/rename", "/account/password", "/admin/users/{user_id}/link"}
    )


def test_both_widths_schemes_and_languages_are_looked_at() -> None:
    assert len(set(LOOKS)) == 8
    assert {look.width for look in LOOKS} == {390, 1440}


def test_the_sheet_has_each_picture_and_its_faults() -> None:
    look = Look(390, "dark", "id")
    sheet = contact_sheet([
        Picture("admin", look, "/help", "a.png", []),
        Picture("viewer", look, "/jobs", "b.png", ["cut off: “<b>”"]),
    ])  # fmt: skip
    assert "src='a.png'" in sheet
    assert "src='b.png'" in sheet
    assert "cut off: “&lt;b&gt;”" in sheet
    assert sheet.count("<h2") == 2
