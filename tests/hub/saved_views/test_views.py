"""Views of the Machines page: kept, found again, shared by administrators, bounded; by REST and as a page."""

from __future__ import annotations

import asyncio
import html
import re

import pytest

from hub.saved_views import rules
from hub.saved_views.rules import MAX_VIEWS
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

FULL = {"name": "Full in Jakarta", "status": "full", "tag": "jakarta", "sort": "-capacity"}


async def test_a_view_is_kept_changed_and_removed(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as own, any_hub.of("operator") as other, any_hub.of("admin") as admin:
        made = await own.post("/api/v2/views", json=FULL)
        assert made.status_code == 201, made.text
        view = made.json()["data"]
        assert view["address"] == "/?status=full&tag=jakarta&sort=-capacity"
        filters = {"q": "", "status": "full", "connection": None, "tag": "jakarta", "group": None, "sort": "-capacity"}
        assert {name: view[name] for name in filters} == filters
        assert (view["mine"], view["shared"]) == (True, False)
        path = made.headers["location"]
        for who in (other, admin):
            assert (await who.get("/api/v2/views")).json()["data"] == []
            assert (await who.patch(path, json={"name": "Mine"})).status_code == 404
            assert (await who.delete(path)).status_code == 404
        edited = await own.patch(path, json={"name": " Full"})
        assert edited.status_code == 422, "a space at its end"
        edited = await own.patch(path, json={"name": "Full", "tag": None, "q": "mall", "group": "site"})
        assert edited.json()["data"]["address"] == "/?q=mall&status=full&group=site&sort=-capacity"
        assert (await own.delete(path)).status_code == 204
        assert (await own.delete(path)).status_code == 404
        codes = [event["code"] for event in (await admin.get("/api/v2/events?kind=view")).json()["data"]]
        assert codes == ["view.removed", "view.edited", "view.saved"]


async def test_a_view_keeps_its_columns(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as own, await browser(any_hub, "viewer") as page:
        made = await own.post("/api/v2/views", json={"name": "Load", "columns": "cpu status"})
        view = made.json()["data"]
        assert (view["columns"], view["address"]) == ("status cpu", "/?columns=status+cpu")
        edited = await own.patch(made.headers["location"], json={"sort": "-cpu"})
        assert edited.json()["data"]["address"] == "/?columns=status+cpu&sort=-cpu"
        edited = await own.patch(made.headers["location"], json={"columns": None})
        assert (edited.json()["data"]["columns"], edited.json()["data"]["address"]) == (None, "/?sort=-cpu")
        table = (await page.get("/?columns=backup&sort=-cpu")).text
        (way,) = re.findall(r'href="([^"]+)" data-save', table)
        way = html.unescape(way)
        assert way == "/views?columns=backup&sort=-cpu"
        assert "Columns: Backup · Sort by CPU ↓" in (await page.get(way)).text
        saved = await page.post("/views", data={"name": "Backups", "columns": "backup", "sort": "-cpu"})
        assert saved.headers["location"] == "/?columns=backup&sort=-cpu"


async def test_an_administrator_shares_a_view_with_everybody(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("viewer") as viewer, any_hub.of("operator") as operator:
        assert (await viewer.post("/api/v2/views", json=FULL | {"shared": True})).status_code == 403
        path = (await admin.post("/api/v2/views", json=FULL | {"shared": True})).headers["location"]
        (seen,) = (await viewer.get("/api/v2/views")).json()["data"]
        assert (seen["mine"], seen["shared"], seen["name"]) == (False, True, FULL["name"])
        assert (await operator.patch(path, json={"name": "Mine"})).status_code == 403
        own = (await viewer.post("/api/v2/views", json=FULL)).headers["location"]
        assert (await viewer.patch(own, json={"shared": True})).status_code == 403
        assert len((await viewer.get("/api/v2/views")).json()["data"]) == 2, "names are each person's own"
        await any_hub.add_user("chief", "admin")
        async with any_hub.of("chief") as chief:
            assert (await chief.patch(path, json={"shared": False})).is_success
        assert len((await viewer.get("/api/v2/views")).json()["data"]) == 1


async def test_views_are_bounded_and_what_is_wrong_is_named(hub: ApiHub) -> None:
    async with hub.of("viewer") as own:
        for body, field in (
            ({"name": ""}, "name"), ({"name": "x" * 41}, "name"), ({}, "name"),
            ({"name": "x", "sort": "up"}, "sort"),
            ({"name": "x", "status": "gone"}, "status"),
            ({"name": "x", "q": "y" * 101}, "q"),
            ({"name": "x", "columns": "status,cpu"}, "columns"), ({"name": "x", "columns": ""}, "columns"),
        ):  # fmt: skip
            refused = await own.post("/api/v2/views", json=body)
            assert (refused.status_code, list(refused.json()["errors"])) == (422, [field]), refused.text
        for number in range(MAX_VIEWS):
            assert (await own.post("/api/v2/views", json={"name": f"View {number}"})).status_code == 201
        refused = await own.post("/api/v2/views", json={"name": "One more"})
        assert (refused.status_code, "20 saved views" in refused.text) == (409, True)
        taken = await own.post("/api/v2/views", json={"name": "view 1"})
        assert (taken.status_code, list(taken.json()["errors"])) == (409, ["name"])
        async with hub.of("operator") as other:
            assert (await other.post("/api/v2/views", json={"name": "View 1"})).status_code == 201


async def test_a_view_keeps_how_it_looks_and_what_its_line_shows(any_hub: ApiHub) -> None:
    async with any_hub.of("viewer") as own, await browser(any_hub, "viewer") as page:
        made = (await own.post("/api/v2/views", json={"name": "Hot", "look": "cards", "spark": "temperature"})).json()
        view = made["data"]
        assert (view["look"], view["spark"], view["address"]) == (
            "cards",
            "temperature",
            "/?look=cards&spark=temperature",
        )
        for wrong in ({"look": "table"}, {"spark": "cpu"}):
            refused = await own.post("/api/v2/views", json={"name": "No", **wrong})
            assert (refused.status_code, list(refused.json()["errors"])) == (422, list(wrong))
        text = (await page.get(view["address"])).text
        assert "cards." in re.findall(r'stylesheet" href="([^"]*)"', text)[1]
        assert "Temperature, 4 h" in text
        assert 'data-metric="temperature"' in text
        assert "Cards · Temperature, 4 h" in (await page.get("/views")).text
        saved = await page.post("/views", data={"name": "On the map", "look": "map", "status": "full"})
        assert saved.headers["location"] == "/map?status=full"
        assert 'href="/map?status=full"' in (await page.get("/")).text
        assert (await page.get("/?look=map&status=full")).headers["location"] == "/map?status=full"


async def test_views_at_once_stay_within_the_limit(any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_VIEWS", 2)
    async with any_hub.of("viewer") as own:
        asked = [own.post("/api/v2/views", json={"name": f"View {number}"}) for number in range(5)]
        assert sorted(one.status_code for one in await asyncio.gather(*asked)) == [201, 201, 409, 409, 409]
        assert len((await own.get("/api/v2/views")).json()["data"]) == 2


async def test_views_stand_above_the_table_and_on_their_page(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as admin, await browser(any_hub, "viewer") as viewer:
        page = (await viewer.get("/?status=full&sort=-capacity")).text
        (way,) = re.findall(r'href="([^"]+)" data-save', page)
        way = html.unescape(way)
        assert way == "/views?status=full&sort=-capacity"
        page = (await viewer.get(way)).text
        assert 'name="status" value="full"' in page
        assert "shared" not in re.findall(r'<input type="checkbox" name="(\w+)"', page), "for administrators"
        saved = await viewer.post("/views", data={"name": " Full  first ", "status": "full", "sort": "-capacity"})
        assert saved.headers["location"] == "/?status=full&sort=-capacity"
        assert 'aria-current="true"><bdi>Full first</bdi>' in (await viewer.get("/?status=full&sort=-capacity")).text
        assert "Full first" not in (await admin.get("/")).text
        assert (await admin.post("/views", data={"name": "Gone", "connection": "offline", "shared": "on"})).is_redirect
        assert "<bdi>Gone</bdi>" in (await viewer.get("/")).text
        listed = (await viewer.get("/views")).text
        assert "shared by" in listed
        assert listed.count("/remove") == 1
        again = await viewer.post("/views", data={"name": "full first", "tag": "x"})
        assert (again.status_code, "Another view has this name" in again.text) == (409, True)
        assert 'name="tag" value="x"' in again.text, "what was to be kept stays"


async def test_a_view_is_renamed_shared_and_removed_on_its_page(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as admin, await browser(any_hub, "viewer") as viewer:
        await admin.post("/views", data={"name": "Gone", "connection": "offline"})
        ((number,),) = [re.findall(r'action="/views/(\d+)/share"', (await admin.get("/views")).text)]
        assert (await viewer.post(f"/views/{number}/share")).status_code == 404
        for what, form, shown in (
            ("share", {}, "<bdi>Gone</bdi>"), ("rename", {"name": "Away"}, "<bdi>Away</bdi>"), ("unshare", {}, ""),
        ):  # fmt: skip
            assert (await admin.post(f"/views/{number}/{what}", data=form)).headers["location"] == "/views"
            assert shown in (await viewer.get("/")).text
        assert (await admin.post(f"/views/{number}/rename", data={"name": ""})).status_code == 422
        assert "Away" not in (await viewer.get("/")).text
        assert (await admin.post(f"/views/{number}/remove")).headers["location"] == "/views"
        assert (await admin.post(f"/views/{number}/remove")).status_code == 404
