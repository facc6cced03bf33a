"""Tests mirror the tree: where the test of a module is, by its name, by what it imports, or by a line in this table.

A module `hub/flow/x.py` has its test in `tests/hub/flow/test_x.py`; or in a test file of its room that imports it; or
in one that reaches it through the product (a page by its address, a handler by a machine's message): that is declared
here, because no import tells of it, and the law checks that the test file can reach it at all. What has none stands in
a short list with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.house import House, Module
from tests.support.shown_by import NOT_SHOWN, SHOWN_BY

EVERYWHERE = ("doors", "end_to_end", "faults", "browser")
"""Test folders that belong to no room: they start the product as a whole."""
MIRROR_LAW = (
    "tests mirror the tree: tests/ROOM/test_NAME.py, or a test file of the room that imports the module, or a line in "
    "tests/support/shown_by.py"
)


def mirror(house: House) -> Iterator[str]:
    proven = proven_by_name_or_import(house)
    declared = {name for names in SHOWN_BY.values() for name in names}
    for module in subjects(house):
        if module.name not in proven and module.name not in declared and module.name not in NOT_SHOWN:
            yield f"{module.shown} has no test; the law: {MIRROR_LAW}"


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
    """Every module that a test file brings in, through whatever it imports."""
    found: set[str] = set()
    ahead = [test, test.rpartition(".")[0] + ".conftest"]
    while ahead:
        module = house.modules.get(ahead.pop())
        names = {imported.name for imported in module.imports} if module is not None else set()
        ahead += names - found
        found |= names
    return found


LAWS = (mirror,)
