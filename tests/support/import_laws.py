"""Who may import whom: the first half of the laws. Each law yields a sentence for every place that breaks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import AROUND, DOORS, PRODUCT, House, Module

ROOMS: dict[str, tuple[str, ...]] = {
    "protocol": (),
    "archive": ("protocol",),
    "texts": (),
    "db": (),
    "certs": ("texts", "bootstrap"),
    "dashboard": ("texts",),
    "device": ("protocol", "archive", "texts", "certs"),
    "hub": ("db", "protocol", "archive", "texts", "certs", "dashboard"),
    "installer": ("device", "protocol", "texts"),
    "bootstrap": (),
    "run_hub": ("bootstrap", "hub", "demo", "installer"),
    "demo": ("hub", "device", "protocol", "archive", "db", "texts", "certs", "dashboard"),
    "run_device": ("bootstrap", "device", "installer"),
    "run_tests": ("bootstrap", "tests"),
}
OURS = (*PRODUCT, *DOORS, *AROUND)
DATABASE_PACKAGES = ("sqlalchemy", "databases", "asyncpg", "aiosqlite", "alembic", "sqlite3")
SNAPSHOTS = ("device.backups.snapshots", "sqlite3")
"""Copies databases of others by their backup interface, without a line of SQL."""
SUBJECTS = frozenset(
    {"attention", "audit", "backups", "commands", "enrolment", "links", "machine_settings", "machines", "metrics",
     "notifications", "people", "remote", "saved_views", "server", "status", "system", "timezone", "web"}
)  # fmt: skip
"""Folders of the hub between its kernel and its wiring."""
DECIDES = frozenset({"rules", "model"})
PAGES = frozenset({"page", "pages"})
"""Roles of files in a subject's room, or of folders where one outgrew a file; also `key_page`."""
LEAVES = ("hub.settings", "hub.kernel.objects.place")
"""Whoever in the hub may import these; they import nothing of ours."""
AGENT_WIRING = frozenset({"__main__", "agent", "agent_parts", "cli"})
AGENT_GROUND = frozenset({"kernel", "privileged", "system", "system_monitor", "texts"})

ROOM_LAW = (
    "run_hub -> demo, hub -> db, protocol, archive, texts, certs, dashboard; "
    "run_device -> device -> protocol, archive, texts, certs; installer -> device, protocol, texts; "
    "dashboard, certs -> texts; archive -> protocol; protocol, texts and db import nothing of ours"
)
HUB_LAW = "inside hub: wiring > subjects and web > kernel > rules > model, downward only; settings is a leaf"
DEVICE_LAW = "inside device: agent and command line > subjects > kernel, system and sensors > rules, downward only"
CYCLE_LAW = "no import cycles, none hidden in a function or behind TYPE_CHECKING"
FOLDER_LAW = "no cycles between folders, none hidden in a function or behind TYPE_CHECKING"
AROUND_LAW = "bench/ measures the product and starts no test; it imports nothing of tests/"
SQL_LAW = "no SQL outside db/"


def rooms(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if module.room == "bench" and any(i.name.partition(".")[0] == "tests" for i in module.imports):
            yield f"{module.shown} imports tests; the law: {AROUND_LAW}"
        if module.room in AROUND:
            continue
        for name, line in _named(house, module):
            yield f"{module.shown}:{line} names {name} in a string; the law: {ROOM_LAW}"
        for imported in module.imports:
            room = imported.name.partition(".")[0]
            if room in OURS and room != module.room and room not in ROOMS[module.room]:
                yield f"{module.shown}:{imported.line} imports {imported.name}; the law: {ROOM_LAW}"
            if imported.name == "a computed name" and module.is_product:
                yield f"{module.shown}:{imported.line} imports a computed name, which no law can see; {ROOM_LAW}"


def _named(house: House, module: Module) -> Iterator[tuple[str, int]]:
    """Modules that a string names, alone (`-m x.y`) or before a colon (`x.y:app`), of a room that must not be known."""
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            room = name.partition(".")[0]
            if "." in name and name in house.modules and room != module.room and room not in ROOMS[module.room]:
                yield name, node.lineno


def hub_level(name: str) -> int:
    """0 model, 1 rules of a subject, 2 kernel, 3 subjects and web, 4 wiring; -1 for what everybody may import."""
    parts = name.split(".")
    if name in LEAVES or name == "hub":
        return -1
    if parts[1] == "model":
        return 0
    if "rules" in parts[2:]:
        return 1
    if parts[1] == "kernel":
        return 2
    is_wiring = parts[1] == "cli" or (len(parts) == 2 and parts[1] not in SUBJECTS)
    return 4 if is_wiring else 3


def device_level(name: str) -> int:
    """0 rules of a subject, 1 kernel, system and sensors, 2 subjects and what other software imports, 3 wiring."""
    parts = name.split(".")
    if len(parts) == 1:
        return -1
    if DECIDES & set(parts[2:]):
        return 0
    return 1 if parts[1] in AGENT_GROUND else 3 if parts[1] in AGENT_WIRING else 2


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
            package = imported.name.partition(".")[0]
            if package in DATABASE_PACKAGES and (module.name, package) != SNAPSHOTS:
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


def folder_circles(house: House) -> Iterator[str]:
    for folder, others in circles_of_folders(house).items():
        for other, line in others.items():
            yield f"{line} makes a circle of {folder} and {other}; the law: {FOLDER_LAW}"


def circles_of_folders(house: House) -> dict[str, dict[str, str]]:
    """Each folder with those it imports from that lead back to it, and a line that does so. The leaves of the hub count
    as folders of their own: whoever stands in the hub may import them, and they import nothing of ours."""
    edges: dict[str, dict[str, str]] = {}
    for module in house.product():
        for imported in module.imports:
            if imported.name in house.modules:
                folder, other = _folder(module), _folder(house.modules[imported.name])
                if folder != other:
                    edges.setdefault(folder, {}).setdefault(other, f"{module.shown}:{imported.line}")
    reached = {folder: _reached(folder, edges) for folder in edges}
    return {
        folder: {other: line for other, line in others.items() if folder in reached.get(other, ())}
        for folder, others in edges.items()
    }


def _folder(module: Module) -> str:
    """The folder, and in a subject's room its layer as well: rules below what moves and REST, pages above. What stands
    in the root of device/ (the agent above its subjects, what other software imports between them) is each its own."""
    is_package = module.path.name == "__init__.py" or module.name in LEAVES
    folder = module.name if is_package else module.name.rpartition(".")[0] or module.name
    parts = module.name.split(".")
    if parts[0] == "device" and len(parts) == 2:
        return module.name
    has_layers = parts[0] == "device" or (parts[0] == "hub" and parts[1] in SUBJECTS - {"web", "server"})
    if len(parts) < 3 or not has_layers:
        return folder
    for place, part in enumerate(parts[2:], 2):
        if part in DECIDES:
            return ".".join([*parts[:place], "rules"])
        if part in PAGES or part.endswith("_page"):
            return ".".join([*parts[:place], "page"])
    return folder


def _reached(start: str, edges: dict[str, dict[str, str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        following = set(edges.get(ahead.pop(), ())) - found
        found |= following
        ahead += following
    return found


LAWS = (rooms, hub_layers, device_layers, sql, cycles, folder_circles)
