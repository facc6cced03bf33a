"""Who may import whom: the first half of the laws. Each law yields a sentence for every place that breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.house import AROUND, DOORS, PRODUCT, House

ROOMS: dict[str, tuple[str, ...]] = {
    "protocol": (),
    "db": (),
    "certs": (),
    "dashboard": (),
    "device": ("protocol", "certs"),
    "hub": ("db", "protocol", "certs", "dashboard"),
    "bootstrap": (),
    "run_hub": ("bootstrap", "hub"),
    "run_device": ("bootstrap", "device"),
    "run_tests": ("bootstrap", "tests"),
}
OURS = (*PRODUCT, *DOORS, *AROUND)
DATABASE_PACKAGES = ("sqlalchemy", "databases", "asyncpg", "aiosqlite", "alembic", "sqlite3")
LEAVES = ("hub.settings", "hub.object_place")
"""Whoever in the hub may import these; they import nothing of ours."""

ROOM_LAW = (
    "run_hub -> hub -> db, protocol, certs, dashboard; run_device -> device -> protocol, certs; "
    "protocol, db, certs and dashboard import nothing of ours"
)
HUB_LAW = "inside hub: wiring > web > flow > core, downward only; settings is a leaf"
DEVICE_LAW = "inside device: agent and command line > moving parts > core, downward only"
CYCLE_LAW = "no import cycles, none hidden in a function or behind TYPE_CHECKING"
SQL_LAW = "no SQL outside db/"


def rooms(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if module.room in AROUND:
            continue
        for imported in module.imports:
            room = imported.name.partition(".")[0]
            if room in OURS and room != module.room and room not in ROOMS[module.room]:
                yield f"{module.shown}:{imported.line} imports {imported.name}; the law: {ROOM_LAW}"
            if imported.name == "a computed name" and module.is_product:
                yield f"{module.shown}:{imported.line} imports a computed name, which no law can see; {ROOM_LAW}"


def hub_level(name: str) -> int:
    """0 core, 1 flow, 2 web, 3 wiring; -1 for what everybody may import."""
    if name in LEAVES or name == "hub":
        return -1
    layers = ("core", "flow", "web")
    second = name.split(".")[1]
    return layers.index(second) if second in layers else 3


def device_level(name: str) -> int:
    """0 core, 1 moving parts, 2 wiring."""
    parts = name.split(".")
    if len(parts) == 1:
        return -1
    return 0 if parts[1] == "core" else 2 if parts[1] in ("__main__", "agent", "cli", "doctor") else 1


def hub_layers(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room != "hub":
            continue
        for imported in module.imports:
            inside = imported.name.partition(".")[0] == "hub"
            if inside and hub_level(imported.name) > max(hub_level(module.name), -1):
                yield f"{module.shown}:{imported.line} imports {imported.name}; the law: {HUB_LAW}"


def device_layers(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room != "device":
            continue
        for imported in module.imports:
            inside = imported.name.partition(".")[0] == "device"
            if inside and device_level(imported.name) > max(device_level(module.name), -1):
                yield f"{module.shown}:{imported.line} imports {imported.name}; the law: {DEVICE_LAW}"


def sql(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room == "db":
            continue
        for imported in module.imports:
            if imported.name.partition(".")[0] in DATABASE_PACKAGES:
                yield f"{module.shown}:{imported.line} imports {imported.name}; the law: {SQL_LAW}"


def cycles(house: House) -> Iterator[str]:
    """Each cycle once, as a path. A package's own `__init__` counts as a module like any other."""
    graph = {m.name: sorted({i.name for i in m.imports if i.name in house.modules} - {m.name}) for m in house.product()}
    done: set[str] = set()
    for start in sorted(graph):
        yield from _cycles_from(start, graph, [], done)


def _cycles_from(name: str, graph: dict[str, list[str]], path: list[str], done: set[str]) -> Iterator[str]:
    if name in path:
        circle = [*path[path.index(name) :], name]
        yield f"{' -> '.join(circle)}; the law: {CYCLE_LAW}"
        return
    if name in done:
        return
    for following in graph.get(name, ()):
        yield from _cycles_from(following, graph, [*path, name], done)
    done.add(name)


LAWS = (rooms, hub_layers, device_layers, sql, cycles)
