"""The map's tiles: which settings count, which tiles lie under a map, and where on it."""

from __future__ import annotations

import math
import re

import pytest

from dashboard.map_tiles import Credit, MapTile, TileSource, TileSourceError, tile_source, tiles
from dashboard.site_map import HEIGHT, WIDTH, Box, formed

URL = "https://tiles.example:8443/street/{z}/{x}/{y}.png?key=a1%20b"
CREDIT = "© [OpenStreetMap contributors](https://osm.example/copyright), [Maker](https://maker.example/?a=1&b=2)"
JAVA = formed(Box(-8.7, 106.1, -6.1, 115.3))


def source(url: str = URL) -> TileSource:
    found = tile_source(url, CREDIT)
    assert found is not None
    return found


def test_without_settings_there_are_no_tiles() -> None:
    assert tile_source("", "") is None


def test_the_host_alone_is_let_in_and_the_makers_are_named_with_links() -> None:
    assert source().origin == "https://tiles.example:8443"
    assert source().credits == (
        Credit("© ", ""), Credit("OpenStreetMap contributors", "https://osm.example/copyright"), Credit(", ", ""),
        Credit("Maker", "https://maker.example/?a=1&b=2"),
    )  # fmt: skip
    assert source().address(3, 4, 5) == "https://tiles.example:8443/street/3/4/5.png?key=a1%20b"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080"])
def test_this_computer_may_serve_them_unencrypted(host: str) -> None:
    assert source(f"http://{host}/{{z}}/{{x}}/{{y}}").origin == f"http://{host}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://t.example/{z}/{x}.png", "each once"), ("https://t.example/{z}/{x}/{y}/{y}.png", "each once"),
        ("https://t.example/", "each once"), ("https://{s}.t.example/{z}/{x}/{y}", "other places"),
        ("https://t.example/{z}/{x}/{y}{r}.png", "other places"), ("https://t.example/{z}/{x}/{y}#a", "characters"),
        ("https://t.example/{z}/{x}/{y} a", "characters"), ("https://t.example/{z}/{x}/{y}\"", "characters"),
        ("https://t.example/{z}/{x}/{y}\n", "characters"), ("https://t.exämple/{z}/{x}/{y}", "characters"),
        ("https://t.example/{z}/{x}/{y}" + "a" * 500, "characters"),
        ("https://t.example\\@b/{z}/{x}/{y}", "characters"),
        ("https://{z}.example/{x}/{y}", "no host"), ("https:///{z}/{x}/{y}", "no host"), ("/{z}/{x}/{y}", "no host"),
        ("https://T.example/{z}/{x}/{y}", "no host"), ("https://t.example:0/{z}/{x}/{y}", "no host"),
        ("https://t.example:70000/{z}/{x}/{y}", "no host"), ("https://t.example:/{z}/{x}/{y}", "no host"),
        ("https://*.example/{z}/{x}/{y}", "no host"), ("https://t.example;/{z}/{x}/{y}", "no host"),
        ("https://t.example,b/{z}/{x}/{y}", "no host"), ("https://[::1]/{z}/{x}/{y}", "characters"),
        ("https://me@t.example/{z}/{x}/{y}", "before its host"),
        ("https://a:b@t.example/{z}/{x}/{y}", "before its host"),
        ("http://t.example/{z}/{x}/{y}", "unencrypted"), ("http://127.0.0.1.example/{z}/{x}/{y}", "unencrypted"),
        ("http://10.0.0.7/{z}/{x}/{y}", "unencrypted"), ("ftp://127.0.0.1/{z}/{x}/{y}", "unencrypted"),
        ("HTTPS://t.example/{z}/{x}/{y}", "unencrypted"), ("javascript://t.example/{z}/{x}/{y}", "unencrypted"),
    ],
)  # fmt: skip
def test_an_address_that_could_lead_elsewhere_is_refused(url: str, why: str) -> None:
    with pytest.raises(TileSourceError) as refused:
        tile_source(url, CREDIT)
    assert refused.value.name == "map_tiles_url"
    assert why in refused.value.sentences[0]
    assert url not in str(refused.value), "it may hold a key"


@pytest.mark.parametrize(
    "attribution",
    ["", "© makers", "[a](http://a.example)", "[a](javascript:alert(1))", "[](https://a.example)", "a\n[b](https://b.example)",
     "x" * 600 + "[b](https://b.example)", "[a](https://a.example/\")"],
)  # fmt: skip
def test_makers_without_a_link_are_refused(attribution: str) -> None:
    with pytest.raises(TileSourceError) as refused:
        tile_source(URL, attribution)
    assert refused.value.name == "map_tiles_attribution"


def test_makers_without_tiles_are_refused() -> None:
    with pytest.raises(TileSourceError) as refused:
        tile_source("", CREDIT)
    assert refused.value.name == "map_tiles_attribution"


def numbers(tile: MapTile) -> tuple[int, int, int]:
    found = re.search(r"/(\d+)/(\d+)/(\d+)\.png", tile.address)
    assert found is not None
    zoom, x, y = map(int, found.groups())
    return zoom, x, y


@pytest.mark.parametrize("coarser", [0, 1])
@pytest.mark.parametrize("box", [JAVA, formed(Box(-6.2, 106.8, -6.2, 106.8)), formed(Box(60, 10, 70, 30))])
def test_tiles_cover_the_map_without_a_gap_each_at_its_place(box: Box, coarser: int) -> None:
    found = tiles(source(), box, coarser=coarser)
    zooms = {numbers(tile)[0] for tile in found}
    assert len(zooms) == 1
    count = 2 ** zooms.pop()
    (west, east), (north, south) = box.across, box.down
    for tile in found:
        _, x, y = numbers(tile)
        assert tile.left == pytest.approx((x / count - west) / (east - west) * 100, abs=0.001)
        assert tile.top == pytest.approx((y / count - north) / (south - north) * 100, abs=0.001)
        assert tile.wide == pytest.approx(100 / count / (east - west), abs=0.001)
    assert min(tile.left for tile in found) <= 0
    assert min(tile.top for tile in found) <= 0
    assert max(tile.left + tile.wide for tile in found) >= 99.99
    assert max(tile.top + tile.wide * WIDTH / HEIGHT for tile in found) >= 99.99
    columns, rows = {numbers(tile)[1] for tile in found}, {numbers(tile)[2] for tile in found}
    assert len(found) == len(columns) * len(rows) <= 35 / 2**coarser
    assert 180 * 2**coarser <= found[0].wide * WIDTH / 100 <= 363 * 2**coarser


def test_a_map_beyond_the_world_has_no_tiles_there() -> None:
    """Of machines that stand all over the world: the map is wider than it."""
    box = formed(Box(-90, -180, 90, 180))
    found = tiles(source(), box)
    count = 2 ** numbers(found[0])[0]
    assert all(0 <= number < count for tile in found for number in numbers(tile)[1:])
    assert min(tile.left for tile in found) > 0
    assert math.isclose(
        max(tile.left + tile.wide for tile in found), 100 - min(tile.left for tile in found), abs_tol=0.01
    )


def test_the_nearest_map_asks_for_no_zoom_that_servers_do_not_have() -> None:
    assert {numbers(tile)[0] for tile in tiles(source(), formed(Box(0, 0, 0, 0)))} == {17}
    assert {numbers(tile)[0] for tile in tiles(source(), Box(0, 0, 0.00001, 0.00001))} == {19}
