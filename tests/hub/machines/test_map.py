"""Coordinates of machines: by REST, in a machine's settings, and on the map."""

from __future__ import annotations

import html
import re

from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser


async def test_a_machine_is_given_coordinates_both_or_none(any_hub: ApiHub) -> None:
    path = "/api/v2/rvms/1"
    async with any_hub.of("admin") as admin:
        assert (await admin.get(path)).json()["data"]["latitude"] is None
        edited = (await admin.patch(path, json={"latitude": -6.1754, "longitude": 106.8272})).json()["data"]
        assert (edited["latitude"], edited["longitude"]) == (-6.1754, 106.8272)
        assert (await admin.patch(path, json={"latitude": -7})).json()["data"]["latitude"] == -7
        for wrong, field in (
            ({"latitude": -91}, "latitude"), ({"longitude": 181}, "longitude"), ({"longitude": None}, "longitude"),
            ({"latitude": "x"}, "latitude"),
        ):  # fmt: skip
            refused = await admin.patch(path, json=wrong)
            assert (refused.status_code, list(refused.json()["errors"])) == (422, [field]), refused.text
        assert (await admin.patch(path, json={"latitude": None, "longitude": None})).json()["data"]["latitude"] is None
        refused = await admin.post("/api/v2/rvms", json={"name": "Half", "longitude": 1})
        assert list(refused.json()["errors"]) == ["latitude"]
        added = await admin.post("/api/v2/rvms", json={"name": "Whole", "latitude": 1.5, "longitude": 2})
        assert (added.json()["data"]["latitude"], added.json()["data"]["longitude"]) == (1.5, 2)


async def test_the_settings_page_takes_coordinates_as_people_copy_them(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as admin:
        form = {"name": "one", "location_description": "", "tags": "", "place": " -6.1754, 106.8272 "}
        assert (await admin.post("/machines/1/rename", data=form)).status_code == 303
        assert 'value="-6.1754, 106.8272"' in (await admin.get("/machines/1/settings")).text
        for wrong in ("Monas", "-6,17, 106,82", "-96.1, 106.8"):
            refused = await admin.post("/machines/1/rename", data=form | {"place": wrong})
            assert (refused.status_code, f'value="{wrong}"' in refused.text) == (422, True)
        assert (await admin.post("/machines/1/rename", data=form | {"place": ""})).status_code == 303
        assert any_hub.context.fleet.machines[1].row.latitude is None


async def test_the_map_filters_as_the_table_does_and_leads_back_to_the_same(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as admin:
        for number, latitude in ((1, -6.17), (2, -6.171)):
            place = {"latitude": latitude, "longitude": 106.82, "location_description": "Gambir"}
            assert (await admin.patch(f"/api/v2/rvms/{number}", json=place)).is_success
        page = (await admin.get("/map?q=gambir&columns=cpu")).text
        assert 'href="/?q=gambir&amp;columns=cpu"' in page, "the table of the same"
        assert 'href="/?q=gambir&amp;columns=cpu&amp;look=cards"' in page
        wide = (await admin.get("/map?box=-40,60,40,150&q=gambir&columns=cpu")).text
        nearer = html.unescape(re.findall(r'<h2><a href="(/map\?box=[^"]*)"', wide)[0])
        assert nearer.endswith("&q=gambir&columns=cpu"), "looked at closer, and still filtered"
        part = (await admin.get("/map?box=-5.1,107.7,-5,107.8&q=gambir&columns=cpu")).text
        assert 'href="/map?q=gambir&amp;columns=cpu">Show all' in part
        one = (await admin.get("/map?q=two")).text
        assert re.findall(r'<a href="(/machines/\d)" aria-label', one) == ["/machines/2"]
        stale = set(re.findall(r'id="map"[^>]* data-on="([^"]*)"', one)[0].split())
        assert stale >= {"name", "location_description", "status_reason", "tags", "effective_status", "connection"}
        part = html.unescape(re.findall(r'data-part="(/map/parts[^"]*)"', one)[0])
        assert "/machines/1" not in (await admin.get(f"{part}&of=map")).text, "as it is drawn again"
        none = (await admin.get("/map?q=nothing-like-this&tag=west")).text
        assert "No machine matches: <b>west, “nothing-like-this”</b>" in none
        assert 'class="map ' not in none
        assert 'href="/map">Clear filters' in none


async def test_the_map_shows_the_machines_that_somebody_may_see(any_hub: ApiHub) -> None:
    async with await browser(any_hub) as admin, await browser(any_hub, "technician", "id") as technician:
        page = (await admin.get("/map")).text
        assert "No machine has coordinates yet" in page
        assert 'class="map' not in page
        for number, place in ((1, (-6.1754, 106.8272)), (2, (-2.533, 140.717))):
            at = {"latitude": place[0], "longitude": place[1]}
            assert (await admin.patch(f"/api/v2/rvms/{number}", json=at)).is_success
        page = (await admin.get("/map")).text
        assert re.findall(r'<a href="(/machines/\d)" aria-label="(\w+)', page) == [
            ("/machines/1", "one"), ("/machines/2", "two"),
        ]  # fmt: skip
        for number, site in ((1, "Medan"), (2, "Ambon")):
            together = {"latitude": -6.17, "longitude": 106.82 + number / 1000, "location_description": site}
            assert (await admin.patch(f"/api/v2/rvms/{number}", json=together)).is_success
        head = re.findall(r"<h2>(.*?)</h2>", (await admin.get("/map?box=-40,60,40,150")).text)[0]
        assert re.sub(r"<[^>]+>", "", head) == "Medan and 1 more site", "not named after one of its sites"
        for number, place in ((1, (-6.1754, 106.8272)), (2, (-2.533, 140.717))):
            at = {"latitude": place[0], "longitude": place[1]}
            assert (await admin.patch(f"/api/v2/rvms/{number}", json=at)).is_success
        near = (await admin.get("/map?box=-7,106,-6,107")).text
        assert "Show all" in near
        assert "/machines/2" not in near
        assert 'data-part="/map/parts?box=-7%2C106%2C-6%2C107&amp;reader=' in near
        part = (await admin.get("/map/parts?box=-7%2C106%2C-6%2C107&of=map")).text
        assert "/machines/1" in part
        assert "/machines/2" not in part
        assert "/machines/2" not in (await technician.get("/map")).text
        assert "tidak ada" in (await technician.get("/map?box=1,1,2,2")).text.lower()
