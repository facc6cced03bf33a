"""Machines on a plain map: what it shows, which stand together, and where it leads."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dashboard import site_map
from dashboard.site_map import HEIGHT, WIDTH, Box


def view(number: int, latitude: float | None, longitude: float | None, **members: Any) -> dict[str, Any]:
    known = {
        "id": number, "name": f"RVM-{number}", "latitude": latitude, "longitude": longitude, "connection": "live",
        "effective_status": "active", "location_description": None,
    }  # fmt: skip
    return known | members


JAKARTA = [view(1, -6.175, 106.827), view(2, -6.1751, 106.8271), view(3, -6.3, 106.9)]
JAYAPURA = view(4, -2.533, 140.717)


def test_the_whole_fleet_is_shown_with_a_margin_and_near_machines_together() -> None:
    drawn = site_map.drawn([*JAKARTA, JAYAPURA, view(5, None, None)], frozenset(), None)
    assert drawn.whole
    assert [[m["id"] for m in place.machines] for place in drawn.places] == [[1, 2, 3], [4]]
    for place in drawn.places:
        assert 50 < place.x < WIDTH - 50
        assert 50 < place.y < HEIGHT - 50
    assert drawn.places[0].x < drawn.places[1].x, "Papua lies east"
    assert drawn.places[0].y > drawn.places[1].y, "and further north"
    assert drawn.places[1].address == "/machines/4"


def test_a_place_leads_nearer_until_its_machines_stand_apart_or_at_one_spot() -> None:
    box = site_map.drawn([*JAKARTA, JAYAPURA], frozenset(), None).places[0].address
    nearer = site_map.drawn([*JAKARTA, JAYAPURA], frozenset(), site_map.box_from({"box": box.partition("=")[2]}))
    assert not nearer.whole
    assert [[m["id"] for m in place.machines] for place in nearer.places] == [[1, 2], [3]]
    again = site_map.box_from({"box": nearer.places[0].address.partition("=")[2]})
    nearest = site_map.drawn(JAKARTA, frozenset(), again)
    assert [place.address for place in nearest.places] == [""], "ten metres apart: the list has them"


@pytest.mark.parametrize(
    ("members", "troubled", "look"),
    [
        ({}, {1}, "error"), ({}, set(), "active"), ({"effective_status": "maintenance"}, set(), "inactive"),
        ({"connection": "offline"}, set(), "offline"), ({"connection": "never"}, set(), "never"),
        ({"connection": "offline", "effective_status": "full"}, set(), "offline"),
        ({"connection": "offline", "effective_status": "maintenance"}, set(), "inactive"),
    ],
)  # fmt: skip
def test_a_place_looks_like_the_worst_of_its_machines(members: dict[str, Any], troubled: set[int], look: str) -> None:
    views = [view(1, -6, 106, **members), view(2, -6, 106, **members)]
    (place,) = site_map.drawn(views, troubled, None).places
    assert (place.look, place.troubled) == (look, len(troubled))


def test_a_place_where_one_is_snoozed_is_not_called_fine() -> None:
    views = [view(1, -6, 106), view(2, -6, 106)]
    assert site_map.drawn(views, set(), None, {2}).places[0].look == "unknown"
    assert site_map.drawn(views, set(), None, {3}).places[0].look == "active"


def test_a_place_is_off_when_none_of_its_machines_is_connected() -> None:
    off, never = view(1, -6, 106, connection="offline"), view(2, -6, 106, connection="never")
    assert site_map.drawn([off, never], set(), None).places[0].look == "offline"
    assert site_map.drawn([off, never], set(), None, {1}).places[0].look == "offline", "snoozed, it is off all the same"
    assert site_map.drawn([off, never, view(3, -6, 106)], set(), None).places[0].look == "active"


def test_trouble_stands_first() -> None:
    drawn = site_map.drawn([*JAKARTA, JAYAPURA], {2, 4, 3}, None)
    assert [m["id"] for m in drawn.places[0].machines] == [2, 3, 1]
    assert [place.troubled for place in drawn.places] == [2, 1]


@pytest.mark.parametrize(
    "box", ["", "1,2,3", "a,b,c,d", "2,2,1,3", "-91,0,0,1", "0,170,1,181", "0,0,1,1,1", "nan,0,1,1", "0,1,0,0"]
)
def test_what_is_no_part_of_the_map_shows_all(box: str) -> None:
    assert site_map.box_from({"box": box}) is None


def test_the_map_keeps_its_form_and_never_shows_less_than_some_streets() -> None:
    for box in (Box(-6, 106, -6, 106), Box(-10, 95, 6, 141), Box(60, 0, 61, 1), Box(-89, 0, 89, 1)):
        formed = site_map.formed(box)
        (west, east), (north, south) = formed.across, formed.down
        assert (east - west) / (south - north) == pytest.approx(WIDTH / HEIGHT)
        assert south - north >= site_map.LEAST_DEGREES / 360
        assert site_map.formed(formed).across[0] <= west, "what is shown is within what is shown with a margin"


@pytest.mark.parametrize("place", [(0, 179.9999), (0, -180), (85, 0), (-90, 12), (90, 180)])
def test_the_map_ends_where_the_world_does(place: tuple[float, float]) -> None:
    """Neither beyond the date line nor beyond the poles: there are no tiles, and no machines."""
    drawn = site_map.drawn([view(1, *place)], frozenset(), None)
    (west, east), (north, south) = drawn.box.across, drawn.box.down
    assert all(-1e-9 <= edge <= 1 + 1e-9 for edge in (west, east, north, south))
    (spot,) = drawn.places
    assert (0 <= spot.x <= WIDTH, 0 <= spot.y <= HEIGHT) == (True, True)
    assert drawn.whole


def test_machines_all_over_the_world_are_on_it_and_its_grid_ends_at_the_date_line() -> None:
    drawn = site_map.drawn([view(1, 84, -179), view(2, -84, 179), view(3, -90, 0)], frozenset(), None)
    assert (drawn.whole, len(drawn.places)) == (True, 3)
    assert all(-180 <= line.degrees <= 180 for line in drawn.meridians)
    assert all(-85.06 < line.degrees < 85.06 for line in drawn.parallels)


def test_a_machine_stands_where_mercator_puts_it() -> None:
    drawn = site_map.drawn([view(1, -6.1754, 106.8272), view(2, -8.65, 115.22)], frozenset(), Box(-9, 106, -6, 116))
    (west, east), (north, south) = drawn.box.across, drawn.box.down
    for spot in drawn.places:
        latitude, longitude = spot.machines[0]["latitude"], spot.machines[0]["longitude"]
        y = (1 - math.log(math.tan(math.radians(latitude)) + 1 / math.cos(math.radians(latitude))) / math.pi) / 2
        x = (longitude + 180) / 360
        assert spot.x == pytest.approx((x - west) / (east - west) * WIDTH, abs=0.06)
        assert spot.y == pytest.approx((y - north) / (south - north) * HEIGHT, abs=0.06)


@pytest.mark.parametrize("wanted", [None, Box(-6.2, 106.7, -6.1, 106.9), Box(-6.1751, 106.827, -6.1750, 106.8271)])
def test_a_grid_and_a_scale_show_its_size(wanted: Box | None) -> None:
    drawn = site_map.drawn([*JAKARTA, JAYAPURA], frozenset(), wanted)
    for lines, most in ((drawn.meridians, WIDTH), (drawn.parallels, HEIGHT)):
        assert 2 <= len(lines) <= 12
        assert all(0 <= line.at <= most for line in lines)
    degrees = [line.degrees for line in drawn.parallels]
    assert [line.at for line in drawn.parallels] == sorted((line.at for line in drawn.parallels), reverse=True)
    assert degrees == sorted(degrees), "the north is above"
    km, length = drawn.scale
    assert 50 <= length <= WIDTH / 5
    assert km > 0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-6.1754, 106.8272", (-6.1754, 106.8272)), (" -6.1754  106.8272 ", (-6.1754, 106.8272)), ("0;0", (0, 0)),
        ("-6.1754° , 106.8272°", (-6.1754, 106.8272)), ("-6,1754, 106,8272", None), ("Monas", None), ("-6.1", None),
    ],
)  # fmt: skip
def test_coordinates_are_read_as_people_copy_them(text: str, place: tuple[float, float] | None) -> None:
    assert site_map.typed(text) == place


def test_coordinates_are_shown_as_they_are_typed() -> None:
    assert site_map.place_words(view(1, -6.1754, 106.827183)) == "-6.1754, 106.827183"
    assert site_map.place_words(view(1, None, None)) == ""
