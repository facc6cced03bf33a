"""Places machines on a map by their coordinates: what it shows, near ones together, a grid of degrees. Pure.

The map is Mercator's, as the tiles of web maps are (`map_tiles`): one drawing, with them and without. Nothing is drawn
across the date line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dashboard.fleet import natural
from dashboard.trouble import RESTING, View, is_connected

WIDTH: Final = 1000
HEIGHT: Final = 600
CELL: Final = 100
"""Of the map's units: machines nearer than this stand together."""
MARGIN: Final = 0.12
"""Around what is shown, as a share of it."""
LEAST_DEGREES: Final = 0.004
"""Nothing is shown larger: half a kilometre is as wide as the map."""
LAST_PARALLEL: Final = math.degrees(math.atan(math.sinh(math.pi)))
"""Where the map's square ends, north and south; what lies nearer a pole stands there."""
KM_PER_DEGREE: Final = 111.2
GRID_STEPS: Final = (30.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
GRID_LINES: Final = 3
"""At least so many between two edges, if the finest step allows."""
_NUMBER: Final = r"(-?\d{1,3}(?:\.\d{1,9})?)"
_BOX: Final = re.compile(rf"{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}")


class Box(NamedTuple):
    """Degrees."""

    south: float
    west: float
    north: float
    east: float

    @property
    def across(self) -> tuple[float, float]:
        """West and east edge on the world's square."""
        return self.west / 360 + 0.5, self.east / 360 + 0.5

    @property
    def down(self) -> tuple[float, float]:
        """North and south edge on the world's square."""
        return _down(self.north), _down(self.south)

    @property
    def address(self) -> str:
        return "/map?box=" + ",".join(f"{edge:.5f}" for edge in self)


class MapPlace(NamedTuple):
    """Machines that stand together. `x`, `y`: of the map; `look`: of the worst; `address`: "" when nearer
    makes no sense."""

    x: float
    y: float
    radius: float
    machines: tuple[View, ...]
    troubled: int
    look: str
    address: str


class GridLine(NamedTuple):
    """`at`: of the map; `decimals`: of the degrees, as its step needs."""

    at: float
    degrees: float
    decimals: int


@dataclass(frozen=True, slots=True)
class SiteMap:
    """`meridians` at their `x`, `parallels` at their `y`; `scale`: km, and their length; `whole`: all is in it."""

    box: Box
    places: Sequence[MapPlace]
    meridians: Sequence[GridLine]
    parallels: Sequence[GridLine]
    scale: tuple[float, float]
    whole: bool


def box_from(params: Mapping[str, str]) -> Box | None:
    """Of `?box=south,west,north,east`; None: show all."""
    found = _BOX.fullmatch(params.get("box", ""))
    if found is None:
        return None
    south, west, north, east = map(float, found.groups())
    inside = -90 <= south <= north <= 90 and -180 <= west <= east <= 180
    return Box(south, west, north, east) if inside else None


def edges(views: Iterable[View]) -> Box:
    """ValueError without any."""
    where = [(view["latitude"], view["longitude"]) for view in views]
    south, north = min(at for at, _ in where), max(at for at, _ in where)
    west, east = min(at for _, at in where), max(at for _, at in where)
    return Box(south, west, north, east)


def formed(box: Box) -> Box:
    """At least so large, with a margin, as wide and high as the map is; within the world, as far as it fits."""
    (west, east), (north, south) = box.across, (_down(_held(edge)) for edge in (box.north, box.south))
    wide = max(east - west, LEAST_DEGREES / 360) * (1 + 2 * MARGIN)
    high = max(south - north, LEAST_DEGREES / 360) * (1 + 2 * MARGIN)
    wide = max(wide, high * WIDTH / HEIGHT)
    high = wide * HEIGHT / WIDTH
    x, y = _within((west + east) / 2, wide), _within((north + south) / 2, high)
    return Box(_latitude(y + high / 2), (x - wide / 2 - 0.5) * 360, _latitude(y - high / 2), (x + wide / 2 - 0.5) * 360)


def _within(middle: float, length: float) -> float:
    """So that neither end leaves the world; the world's own middle where that cannot be."""
    return 0.5 if length >= 1 else min(max(middle, length / 2), 1 - length / 2)


def _held(latitude: float) -> float:
    return min(max(latitude, -LAST_PARALLEL), LAST_PARALLEL)


def _down(latitude: float) -> float:
    """From the world's northern edge, 0, to its southern, 1."""
    return 0.5 - math.asinh(math.tan(math.radians(latitude))) / math.tau


def _latitude(down: float) -> float:
    return math.degrees(math.atan(math.sinh((0.5 - down) * math.tau)))


def drawn(
    views: Iterable[View], troubled: AbstractSet[int], wanted: Box | None, snoozed: AbstractSet[int] = frozenset()
) -> SiteMap:
    """Of machines with coordinates; `wanted`: what of the map. ValueError without any. `snoozed`: not counted, and not
    fine."""
    listed = [view for view in views if is_placed(view)]
    box = formed(edges(listed) if wanted is None else wanted)
    shown = [view for view in listed if _inside(view, box)]
    places = sorted(_places(shown, troubled, snoozed, box), key=lambda place: (-place.troubled, natural(_first(place))))
    return SiteMap(
        box, places, _meridians(box), _parallels(box), _scale(box), len(shown) == len(listed),
    )  # fmt: skip


def is_placed(view: View) -> bool:
    return view["latitude"] is not None and view["longitude"] is not None


def _first(place: MapPlace) -> str:
    return str(place.machines[0]["name"])


def _inside(view: View, box: Box) -> bool:
    x, y = _xy(view, box)
    return 0 <= x <= WIDTH and 0 <= y <= HEIGHT


def _xy(view: View, box: Box) -> tuple[float, float]:
    across = (view["longitude"] - box.west) / (box.east - box.west)
    return across * WIDTH, _y(_held(view["latitude"]), box)


def _y(latitude: float, box: Box) -> float:
    north, south = box.down
    return (_down(latitude) - north) / (south - north) * HEIGHT


def _places(views: Sequence[View], troubled: AbstractSet[int], snoozed: AbstractSet[int], box: Box) -> list[MapPlace]:
    """Each machine joins the first place that is near enough: the same machines, the same map."""
    found: list[tuple[float, float, list[View]]] = []
    for view in sorted(views, key=lambda view: view["id"]):
        x, y = _xy(view, box)
        near = next((here for px, py, here in found if math.hypot(px - x, py - y) < CELL), None)
        if near is None:
            found.append((x, y, [view]))
        else:
            near.append(view)
    return [_place(here, troubled, snoozed, box) for _, _, here in found]


def _place(views: list[View], troubled: AbstractSet[int], snoozed: AbstractSet[int], box: Box) -> MapPlace:
    at = [_xy(view, box) for view in views]
    x, y = sum(x for x, _ in at) / len(at), sum(y for _, y in at) / len(at)
    hurt = sum(view["id"] in troubled for view in views)
    listed = tuple(sorted(views, key=lambda view: (view["id"] not in troubled, natural(view["name"]), view["id"])))
    return MapPlace(
        round(x, 1), round(y, 1), round(min(44.0, 18 + 6 * math.log2(len(views))), 1), listed, hurt,
        _look(listed, troubled, snoozed), _address(listed, box),
    )  # fmt: skip


def _look(views: Iterable[View], troubled: AbstractSet[int], snoozed: AbstractSet[int]) -> str:
    views = list(views)
    if any(view["id"] in troubled for view in views):
        return "error"
    if all(view["effective_status"] in RESTING for view in views):
        return "inactive"
    if not any(is_connected(view) for view in views):
        return "never" if all(view["connection"] == "never" for view in views) else "offline"
    return "unknown" if any(view["id"] in snoozed for view in views) else "active"


def _address(views: Sequence[View], box: Box) -> str:
    """Of one machine its page; of several what shows them nearer, "" if they stand at one spot."""
    if len(views) == 1:
        return f"/machines/{views[0]['id']}"
    close = edges(views)
    nearer = formed(close)
    return close.address if nearer.east - nearer.west < (box.east - box.west) * 0.9 else ""


def _meridians(box: Box) -> list[GridLine]:
    listed, decimals = _degrees(max(box.west, -180), min(box.east, 180))
    wide = box.east - box.west
    return [GridLine(round((at - box.west) / wide * WIDTH, 1), at, decimals) for at in listed]


def _parallels(box: Box) -> list[GridLine]:
    listed, decimals = _degrees(max(box.south, -LAST_PARALLEL), min(box.north, LAST_PARALLEL))
    return [GridLine(round(_y(at, box), 1), at, decimals) for at in listed]


def _degrees(low: float, high: float) -> tuple[list[float], int]:
    """Round ones, and the decimals that they need."""
    step = next((each for each in GRID_STEPS if (high - low) / each >= GRID_LINES), GRID_STEPS[-1])
    listed = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return listed, max(0, -math.floor(math.log10(step)))


def _scale(box: Box) -> tuple[float, float]:
    """The longest of 1, 2, 5, 10, ... km that is no longer than a fifth of the map, in its middle."""
    middle = math.cos(math.radians(_latitude(sum(box.down) / 2)))
    whole_km = (box.east - box.west) * middle * KM_PER_DEGREE
    power = 10.0 ** math.floor(math.log10(whole_km / 5))
    km = next(power * each for each in (5, 2, 1) if power * each <= whole_km / 5)
    return km, round(km / whole_km * WIDTH, 1)


def typed(text: str) -> tuple[float, float] | None:
    """Latitude and longitude of a field; None: it has no two such numbers."""
    found = re.fullmatch(rf"\s*{_NUMBER}°?\s*[,;\s]\s*{_NUMBER}°?\s*", text)
    return None if found is None else (float(found.group(1)), float(found.group(2)))


def place_words(view: Mapping[str, Any]) -> str:
    """As the field shows it."""
    return f"{view['latitude']:.9g}, {view['longitude']:.9g}" if is_placed(view) else ""
