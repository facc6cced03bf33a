"""Machines as a CSV file: all or none, each fault with its line; what is exported can be imported again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api_hub import ApiHub, api_hub
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
