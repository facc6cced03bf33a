"""Reads where the map's tiles come from and who made them; chooses the tiles that lie under a map. Pure.

Tiles are another's: a viewer's browser asks their host for the region that it looks at. So the host stands in the
setting itself, never in what somebody asks for."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from dashboard.site_map import WIDTH, Box

PLACES: Final = ("{z}", "{x}", "{y}")
MOST_ZOOM: Final = 19
"""Further few servers go."""
UNITS: Final = 256
"""Of the map's: about so large a tile is drawn, on a wide screen a pixel a unit."""
_FORM: Final = "Use https://NAME/{z}/{x}/{y}.png"
_ADDRESS: Final = re.compile(r"[A-Za-z0-9!$%&()*+,./:;=?@_~-]{1,500}", re.ASCII)
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_LINKED: Final = re.compile(r"\[([^\[\]]{1,100})\]\((https://[!#-&*-;=?-Z_a-z~]{1,300})\)", re.ASCII)
_MOST_WORDS: Final = 600


class TileSourceError(Exception):
    """`name`: the setting. Why and fix are English sentences, translated in `hub/cli/locales`."""

    def __init__(self, name: str, why: str, fix: str) -> None:
        super().__init__(name, why, fix)
        self.name = name
        self.sentences = why, fix


class Credit(NamedTuple):
    """Words of the attribution, and where they lead; "" where they lead nowhere."""

    words: str
    address: str


class MapTile(NamedTuple):
    """`left`, `top`: percent of the map's width and height; `wide`: of its width. It is square."""

    address: str
    left: float
    top: float
    wide: float


@dataclass(frozen=True, slots=True)
class TileSource:
    """`origin`: what a content policy has to let in; `credits`: who is to be named."""

    template: str
    origin: str
    credits: tuple[Credit, ...]

    def address(self, zoom: int, x: int, y: int) -> str:
        return self.template.replace("{z}", str(zoom)).replace("{x}", str(x)).replace("{y}", str(y))


def tile_source(url: str, attribution: str) -> TileSource | None:
    """None: no tiles. Raises TileSourceError."""
    if not url and not attribution:
        return None
    if not url:
        raise TileSourceError("map_tiles_attribution", "names the makers of no tiles", "Give --map-tiles-url as well")
    return TileSource(url, _origin(url), _credits(attribution))


def _origin(url: str) -> str:
    """Raises TileSourceError. The address may hold a key: no sentence repeats it."""
    bare = url
    for place in PLACES:
        if url.count(place) != 1:
            raise _wrong_url("has to have {z}, {x} and {y}, each once", _FORM)
        bare = bare.replace(place, "0")
    if not _ADDRESS.fullmatch(bare):
        raise _wrong_url("has characters or other places that cannot stand in it", _FORM)
    scheme, _, rest = url.partition("://")
    netloc = re.split("[/?]", rest, maxsplit=1)[0]
    if "@" in netloc:
        raise _wrong_url("has a name or a password before its host", "Leave them out")
    host, port = _host_and_port(netloc)
    if host is None:
        raise _wrong_url("names no host", "Use one fixed name or IPv4 address, in small letters")
    if scheme != "https" and not (scheme == "http" and _is_this_computer(host)):
        raise _wrong_url("would load tiles unencrypted", "Use https://; http:// is for this computer alone")
    return f"{scheme}://{host}{port}"


def _host_and_port(netloc: str) -> tuple[str | None, str]:
    """None: not what a content policy can name."""
    host, colon, port = netloc.partition(":")
    good = _HOST.fullmatch(host) is not None and (not colon or (port.isdigit() and 0 < int(port[:6]) < 65536))
    return (host if good else None), f"{colon}{port}"


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong_url(why: str, fix: str) -> TileSourceError:
    return TileSourceError("map_tiles_url", why, fix)


def _credits(attribution: str) -> tuple[Credit, ...]:
    """`© [Words](https://address), more words`. Raises TileSourceError."""
    found: list[Credit] = []
    at = 0
    for link in _LINKED.finditer(attribution):
        found += [Credit(attribution[at : link.start()], ""), Credit(link.group(1), link.group(2))]
        at = link.end()
    found.append(Credit(attribution[at:], ""))
    if not attribution.isprintable() or len(attribution) > _MOST_WORDS or len(found) == 1:
        raise TileSourceError(
            "map_tiles_attribution", "has to name who made the tiles, with a link",
            "Use the maker's words, like © [OpenStreetMap contributors](https://www.openstreetmap.org/copyright)",
        )  # fmt: skip
    return tuple(credit for credit in found if credit.words)


def tiles(source: TileSource, box: Box, *, coarser: int = 0) -> list[MapTile]:
    """What lies in `box`, and nothing beyond the date line or the world's northern and southern edge. `coarser`: so
    many zooms, for a narrow screen."""
    (west, east), (north, south) = box.across, box.down
    nearest = round(math.log2(WIDTH / UNITS / (east - west))) - coarser
    zoom = min(max(nearest, 0), MOST_ZOOM)
    count = 2**zoom
    return [
        MapTile(
            source.address(zoom, x, y), _percent((x / count - west) / (east - west)),
            _percent((y / count - north) / (south - north)), _percent(1 / count / (east - west)),
        )
        for y in _between(north, south, count)
        for x in _between(west, east, count)
    ]  # fmt: skip


def _percent(share: float) -> float:
    return round(share * 100, 4)


def _between(first: float, last: float, count: int) -> Iterator[int]:
    yield from range(max(0, math.floor(first * count)), min(count, math.ceil(last * count)))
