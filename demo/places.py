"""Where the demo's simulated machines stand: real places in Indonesia's three time zones, and what is the matter."""

from __future__ import annotations

from typing import Final, NamedTuple


class Place(NamedTuple):
    """`name` is how people call it, `where` its city and zone."""

    name: str
    where: str


PLACES: Final = (
    Place("Stasiun Gambir", "Jakarta Pusat, WIB"),
    Place("Mall Kelapa Gading", "Jakarta Utara, WIB"),
    Place("Terminal Blok M", "Jakarta Selatan, WIB"),
    Place("Pasar Baru", "Bandung, WIB"),
    Place("Simpang Lima", "Semarang, WIB"),
    Place("Stasiun Tugu", "Yogyakarta, WIB"),
    Place("Tunjungan Plaza", "Surabaya, WIB"),
    Place("Alun-Alun Tugu", "Malang, WIB"),
    Place("Lapangan Merdeka", "Medan, WIB"),
    Place("Jembatan Ampera", "Palembang, WIB"),
    Place("Pelabuhan Bakauheni", "Lampung, WIB"),
    Place("Taman Alun Kapuas", "Pontianak, WIB"),
    Place("Bandara Ngurah Rai", "Denpasar, WITA"),
    Place("Pantai Losari", "Makassar, WITA"),
    Place("Mega Mall", "Manado, WITA"),
    Place("Islamic Center", "Mataram, WITA"),
    Place("Pasar Terapung", "Banjarmasin, WITA"),
    Place("Pelabuhan Semayang", "Balikpapan, WITA"),
    Place("Pasar Mardika", "Ambon, WIT"),
    Place("Mall Jayapura", "Jayapura, WIT"),
)

_ZONES: Final = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}

_SPREAD: Final = {
    2: "full",
    5: "hot",
    8: "offline",
    11: "late",
    14: "maintenance",
    0: "busy",
    13: "guessing",
    4: "misconfigured",
    17: "slow",
    18: "unpermitted",
}
"""The machines with something the matter, by their place in the list; what matters most first."""
SPECIAL_ROLES: Final = tuple(_SPREAD.values())
"""One machine each; all others are normal."""


def role_of(index: int, count: int) -> str:
    """The role of the machine with this index: spread over the list, or as many as a short one has places for."""
    if count <= max(_SPREAD):
        return SPECIAL_ROLES[index] if index < len(SPECIAL_ROLES) else "normal"
    return _SPREAD.get(index, "normal")


def place_of(index: int) -> Place:
    """Every machine has a name of its own: the places again, with a number, when there are more machines."""
    place, again = PLACES[index % len(PLACES)], index // len(PLACES)
    return place if again == 0 else Place(f"{place.name} {again + 1}", place.where)


def zone_of(place: Place) -> str:
    """The IANA name of the zone a place stands in."""
    return _ZONES[place.where.rpartition(" ")[2]]


def city_of(place: Place) -> str:
    return place.where.partition(",")[0]
