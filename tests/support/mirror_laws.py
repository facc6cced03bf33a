"""Tests mirror the tree: the tests of a room stand in the folder of its name below tests/.

A module `hub/ROOM/x.py` is shown by `tests/hub/ROOM/test_x.py`, by a test file of its outer room (`tests/hub/...`) that
imports it, or by one in `tests/hub/ROOM/` that reaches it through the product (a page by its address, a handler by a
message). How much of it runs then is told by coverage, not here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.house import House, Module

EVERYWHERE = ("doors", "end_to_end", "faults", "browser")
"""Test folders that belong to no room: they start the product as a whole."""
ALSO_IN = {
    "hub.cli": "doors",
    "demo": "doors",
    "run_hub": "doors",
    "run_device": "doors",
    "db": "hub",
    "dashboard": "hub",
}
"""`room`: the other folder of tests/ that shows it: doors start processes, the hub runs queries and shows texts."""
NOT_SHOWN = {
    "run_hub": "a door: tests/doors starts it by its path",
    "run_device": "a door: likewise",
    "scripts.readme_picture": "takes a picture of a running demo before a release, looked at by eye",
}
"""`module`: why it has no test. The list may only shrink."""
MIRROR_LAW = "tests mirror the tree: a module is imported by a test of its room, or reached by one in tests/ROOM/"


def mirror(house: House) -> Iterator[str]:
    proven = proven_by_name_or_import(house)
    reached_in: dict[str, set[str]] = {}
    for module in subjects(house):
        room = room_of(module)
        if room not in reached_in:
            reached_in[room] = {name for test in tests_in(house, room) for name in reached(house, test.name)}
        if module.name not in proven | reached_in[room] | NOT_SHOWN.keys():
            yield f"{module.shown} has no test; the law: {MIRROR_LAW}"


def room_of(module: Module) -> str:
    """The folder whose tests show it: a subject of the hub, or a room of the house."""
    parts = module.name.split(".")
    return ".".join(parts[:2]) if parts[0] == "hub" and len(parts) > 2 else parts[0]


def tests_in(house: House, room: str) -> Iterator[Module]:
    return (test for test in test_files(house) if test.within(f"tests.{room}", f"tests.{ALSO_IN.get(room, room)}"))


def subjects(house: House) -> Iterator[Module]:
    """Everything that does something: no shapes, tables and texts, not the packages' own files, and not migrations,
    which are never edited again."""
    for module in house.written_like_the_product():
        is_package = module.path.name in ("__init__.py", "__main__.py")
        if not is_package and not module.within("db.migrations") and any(module.functions()):
            yield module


def proven_by_name_or_import(house: House) -> set[str]:
    found = set()
    for test in test_files(house):
        folder, _, name = test.name.removeprefix("tests.").rpartition(".")
        found.add(f"{folder}.{name.removeprefix('test_')}")
        if folder == "doors":
            found.add(name.removeprefix("test_"))
        room = folder.partition(".")[0]
        for imported in test.imports:
            if room in EVERYWHERE or imported.name.partition(".")[0] == room:
                found.add(imported.name)
    return found


def test_files(house: House) -> Iterator[Module]:
    return (module for module in house.modules.values() if module.name.rpartition(".")[2].startswith("test_"))


def reached(house: House, test: str) -> set[str]:
    """Every module that a test file and the conftest files above it bring in, through whatever they import."""
    found: set[str] = set()
    folders = test.split(".")[:-1]
    ahead = [test, *(".".join([*folders[:depth], "conftest"]) for depth in range(1, len(folders) + 1))]
    while ahead:
        module = house.modules.get(ahead.pop())
        names = {imported.name for imported in module.imports} if module is not None else set()
        ahead += names - found
        found |= names
    return found


LAWS = (mirror,)
