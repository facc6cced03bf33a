"""Machines as a CSV file: all or none, each fault with its line; what is exported can be imported again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.spreadsheet import SEPARATORS
from hub.machines.api import NewMachine
from hub.machines.sheet_api import sheet_of, sheet_rows
from hub.model.machine import tags_of
from hub.web.http.validation import validate
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import machine
from tests.support.page_visitor import browser

SHEET = "/api/v2/machine-sheet"
GOOD = (
    "name,location_description,device_id,tags\n"
    'Kantin Timur,"Lantai 1, dekat lift",rvm-kt-01,bandung pilot\n\n'
    "=SUM(A1),,,\n"
)


async def send(admin: httpx.AsyncClient, text: str, **more: Any) -> httpx.Response:
    return await admin.post(SHEET, json={"csv": text, **more})


async def test_what_is_exported_can_be_imported_again(any_hub: ApiHub, tmp_path: Path, sqlite_url: str) -> None:
    async with any_hub.of("admin") as admin:
        looked = await send(admin, GOOD, dry_run=True)
        assert (looked.status_code, len((await admin.get("/api/v2/rvms")).json()["data"])) == (200, 2)
        added = await send(admin, GOOD)
        assert added.status_code == 201
        assert [one["line"] for one in added.json()["data"]["machines"]] == [2, 4]
        exported = await admin.get(SHEET)
        assert exported.headers["content-type"].startswith("text/csv")
        machines = (await admin.get("/api/v2/rvms")).json()["data"]
    again = tmp_path / "again"
    async with api_hub(again, database_url=f"sqlite:///{again / 'fresh.db'}") as fresh:
        await fresh.add_user("admin", "admin")
        async with fresh.of("admin") as admin:
            taken = await send(admin, exported.text)
            assert taken.status_code == 201, taken.text
            assert (await admin.get(SHEET)).text == exported.text
            copied = (await admin.get("/api/v2/rvms")).json()["data"]
    shown = ("name", "location_description", "device_id", "tags")
    assert sorted([[one[name] for name in shown] for one in copied]) == sorted(
        [[one[name] for name in shown] for one in machines]
    )


@pytest.mark.parametrize(
    ("line", "where", "column"),
    [
        ("one,,,", "line 3", "name"), ("Kantin,,dev-one,", "line 3", "device_id"),
        ("Kantin,,12,", "line 3", "device_id"),
        (",Lantai 2,,", "line 3", "name"), ("First,,,", "line 3", "name"), ('"open', "line 3", ""),
    ],
)  # fmt: skip
async def test_a_fault_names_its_line_and_nothing_is_added(hub: ApiHub, line: str, where: str, column: str) -> None:
    async with hub.of("admin") as admin:
        wrong = await send(admin, f"name,location_description,device_id,tags\nFirst,,,\n{line}\n")
        assert wrong.status_code == 422
        ((found, (why, *_)),) = wrong.json()["errors"].items()
        assert found == where
        assert why.startswith(column)
        assert len((await admin.get("/api/v2/rvms")).json()["data"]) == 2


@pytest.mark.parametrize(
    "text", ["", "name\n", "naam\nx\n", "name,name\nx,y\n", "name,price\nx,1\n", "device_id\nx1\n"]
)
async def test_a_file_without_machines_or_with_other_columns_is_refused(hub: ApiHub, text: str) -> None:
    async with hub.of("admin") as admin:
        assert list((await send(admin, text)).json()["errors"]) == ["csv"]


async def test_a_spreadsheets_semicolons_and_byte_order_mark_are_read(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        assert (await send(admin, "\ufeffName;Tags\r\nToko;a b\r\n")).status_code == 201
        found = (await admin.get("/api/v2/rvms?q=Toko")).json()["data"]
    assert found[0]["tags"] == ["a", "b"]


@pytest.mark.parametrize("language", ["en", "id"])
async def test_the_page_checks_first_and_adds_then(hub: ApiHub, language: str) -> None:
    async with await browser(hub, language=language) as page:
        wrong = await page.post("/machines/import", data={"csv": "name\none\nToko\n"})
        assert wrong.status_code == 422
        assert re.search({"en": "Line 2", "id": "Baris 2"}[language], wrong.text)
        looked = await page.post("/machines/import", data={"csv": "name\nToko\n"})
        assert 'value="add"' in looked.text
        assert len(hub.context.fleet.machines) == 2
        added = await page.post("/machines/import", data={"csv": "name\nToko\n", "do": "add"})
        assert added.headers["location"] == "/"
        assert len(hub.context.fleet.machines) == 3


@pytest.mark.parametrize(("language", "written"), [("en", "utf-8"), ("id", "utf-16-le")])
async def test_the_selected_machines_are_a_file_for_the_spreadsheet_of_their_reader(
    hub: ApiHub, language: str, written: str
) -> None:
    """No other, none that somebody else may see only; without any, why not."""
    async with await browser(hub, language=language) as admin, await browser(hub, "technician", language) as technician:
        await admin.post("/machines/import", data={"csv": "name\nTo;ko\n", "do": "add"})
        wanted = {"rvm": ["3", "1", "3", "77", "x"]}
        answer = await admin.post("/bulk/sheet", data=wanted)
        assert answer.headers["content-disposition"] == 'attachment; filename="machines.csv"'
        text = answer.content.decode(written)
        assert text.startswith("\ufeff")
        assert [values and values["name"] for _, values in sheet_rows(text)] == ["one", "To;ko"]
        text = (await technician.post("/bulk/sheet", data=wanted)).content.decode(written)
        assert [values and values["name"] for _, values in sheet_rows(text)] == ["one"]
        none = await admin.post("/bulk/sheet")
        words = {"en": "Select machines first.", "id": "Pilih mesin"}[language]
        assert (none.status_code, words in none.text) == (422, True)


PARTS = ["=", "+", "-", "@", "'", ";", '"', ",", " ", "a", "1", "\uff1d"]
NAMES = st.text(alphabet=PARTS, min_size=1, max_size=10).map(str.strip).filter(bool)
NOTES = st.text(alphabet=[*PARTS, "\n", "\t", "\r"], max_size=12).map(str.strip)
TAGS = st.lists(st.text(alphabet=[each for each in PARTS if each != ","], max_size=6).filter(str.strip), max_size=3)
PLACES = st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180))
SHOWN = ("name", "location_description", "tags", "latitude", "longitude")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, NOTES, TAGS, PLACES), min_size=1, max_size=4, unique_by=lambda one: one[0]))
def test_hostile_values_come_back_from_our_own_file(rows: list[Any]) -> None:
    kept = [
        machine(
            n, device_id=f"d{n}", name=name, location_description=note or None, tags=tags_of(tags) or None,
            latitude=place and place[0], longitude=place and place[1],
        ).row
        for n, (name, note, tags, place) in enumerate(rows, 1)
    ]  # fmt: skip
    for mark in SEPARATORS.values():
        lines = sheet_rows(sheet_of(kept, mark))
        read = {values["device_id"]: validate(NewMachine, values) for _, values in lines if values}
        for row in kept:
            found, place = read[row.device_id], (row.latitude, row.longitude)
            assert (found.name, found.location_description) == (row.name, row.location_description)
            assert (tags_of(found.tags) or None, found.latitude, found.longitude) == (row.tags, *place)


@pytest.mark.parametrize(
    ("separator", "mark", "decimal"), [("semicolon", ";", ","), ("tab", "\t", ","), ("comma", ",", ".")]
)
async def test_a_spreadsheet_gets_it_in_its_own_form_and_what_it_gives_back_is_read(
    hub: ApiHub, separator: str, mark: str, decimal: str
) -> None:
    """Saved by it, or copied out of it; a fault still names the file's line."""
    async with hub.of("admin") as admin:
        await send(admin, "name,latitude,longitude\nCafé Ångström,-6.5,106.8\n")
        answer = await admin.get(SHEET, params={"separator": separator, "bom": "true"})
        assert answer.content.startswith(b"\xef\xbb\xbf" if mark == "," else b"\xff\xfe")
        text = answer.text.removeprefix("\ufeff")
        assert text.startswith("name," if mark == "," else f"sep={mark}\r\nname{mark}")
        assert f"Café Ångström{mark}" in text
        assert f"{mark}-6{decimal}5{mark}106{decimal}8\r\n" in text
        line = next(at for at, line in enumerate(text.splitlines(), 1) if line.startswith("Café"))
        assert f"line {line}" in (await send(admin, answer.text, dry_run=True)).json()["errors"], "it is there already"
        again = text.replace("Café", "Warung").replace("caf-", "w-").splitlines()
        kept = [row for row in again if row.startswith(("sep=", "name", "Warung"))]
        assert (await send(admin, "\r\n".join(kept))).status_code == 201
        assert (await send(admin, "sep=;\r\nname;tags\r\n;a\r\n")).json()["errors"].keys() == {"line 3"}


async def test_coordinates_come_back_on_both_databases(any_hub: ApiHub) -> None:
    text = 'name;latitude;longitude\nJakarta;"-6,1754";106.8272\nTimika;-4.5438;1.3689e2\n'
    async with any_hub.of("admin") as admin:
        assert (await send(admin, text)).status_code == 201
        found = {one["name"]: one for one in (await admin.get("/api/v2/rvms")).json()["data"]}
        assert (found["Jakarta"]["latitude"], found["Jakarta"]["longitude"]) == (-6.1754, 106.8272)
        assert found["Timika"]["longitude"] == 136.89
        exported = (await admin.get(SHEET)).text
    assert "-6.1754,106.8272" in exported
    assert "'-6" not in exported, "a number runs nothing"


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("90.1,0", "latitude"), ("0,-180.5", "longitude"), ("nan,1", "latitude"), ("1,inf", "longitude"),
        ("south,1", "latitude"), ("1,", "longitude"), (",1", "latitude"), ("1_0,1", "latitude"), ("1,2,3", ""),
    ],
)  # fmt: skip
async def test_a_wrong_coordinate_names_line_and_column(hub: ApiHub, cells: str, column: str, language: str) -> None:
    async with hub.of("admin") as admin:
        admin.headers["Accept-Language"] = language
        wrong = await send(admin, f'name,location_description,latitude,longitude\n"Two\nlines",x,,\nToko,x,{cells}\n')
        assert wrong.status_code == 422
        assert list(wrong.json()["errors"]) == ["line 2", "line 4"], "a name of two lines is two lines of the file"
        (why,) = wrong.json()["errors"]["line 4"]
        assert why.startswith(column)
        assert "null" not in why, "a cell is empty, and never null"
