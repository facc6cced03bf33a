"""What a file may know by the role in its name (page, api). Where SQL may stand, and which files are too small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house import House, Module

_SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP)\s+TABLE\s|PRAGMA\s)",
    re.IGNORECASE | re.DOTALL,
)
ROLES = frozenset({"api", "handlers", "model", "page", "rules", "service", "texts"})
"""A room has them whatever their size."""
HUB_FILES = 214
"""How many Python files the hub has: 150 of the house as it was rebuilt; 22 for backups, 2 for its own, 8 for tags,
hours of readings, the palette and how the hub itself is, 5 for enrolment, 1 for its TLS, 1 for CSV, 6
for saved views and the map, 5 for troubles and who is on them, 5 for notifications, 1 for history, 2 for the rules of
alerts, 2 for the command line, 4 for two steps at sign-in. The number may only shrink."""
TOO_SMALL = 40
SMALL_TODAY: frozenset[str] = frozenset({"db.event_guard"})
"""Small files with one importer. The list may only shrink."""

PAGE_LAW = "a page is imported by its own subject and by hub/routes.py: no page and no api knows another subject's page"
SQL_LAW = "no SQL outside db/, in no string either"
HUB_LAW = f"the hub has at most {HUB_FILES} Python files: what belongs to a subject's role stands in its one file"
SMALL_LAW = f"a file below {TOO_SMALL} lines that one other file imports stands in that file, or has the name of a role"


def role(name: str) -> str:
    """`page`, `api`, or empty: what the last parts of a module's name say that it does."""
    parts = name.split(".")
    if parts[0] != "hub":
        return ""
    if "pages" in parts[2:] or parts[-1] == "page" or parts[-1].endswith("_page"):
        return "page"
    return "api" if parts[-1] == "api" or parts[-1].endswith("_api") else ""


def pages(house: House) -> Iterator[str]:
    for module in house.product():
        for name, line in foreign_pages(module):
            yield f"{module.shown}:{line} imports {name}; the law: {PAGE_LAW}"


def foreign_pages(module: Module) -> Iterator[tuple[str, int]]:
    """Pages of another subject that a page or an api imports."""
    if role(module.name):
        subject = module.name.split(".")[1]
        for imported in module.imports:
            if role(imported.name) == "page" and imported.name.split(".")[1] not in (subject, "web"):
                yield imported.name, imported.line


def sql_in_strings(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room == "db":
            continue
        for node in module.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield f"{module.shown}:{node.lineno} {node.value.strip()[:40]!r}; the law: {SQL_LAW}"


def small_files(house: House) -> Iterator[str]:
    for module, importer in small_with_one_importer(house):
        if module.name not in SMALL_TODAY:
            yield f"{module.shown} is imported by {importer} alone; the law: {SMALL_LAW}"


def small_with_one_importer(house: House) -> Iterator[tuple[Module, str]]:
    importers: dict[str, set[str]] = {}
    for module in house.written_like_the_product():
        for imported in module.imports:
            importers.setdefault(imported.name, set()).add(module.name)
    for module in house.product():
        is_package = module.path.name in ("__init__.py", "__main__.py") or module.within("db.migrations")
        if module.lines < TOO_SMALL and not is_package and module.name.rpartition(".")[2] not in ROLES:
            known_by = importers.get(module.name, set()) - {module.name}
            if len(known_by) == 1:
                yield module, min(known_by)


def hub_files(house: House) -> Iterator[str]:
    found = sum(module.room == "hub" for module in house.modules.values())
    if found > HUB_FILES:
        yield f"hub/ has {found} files; the law: {HUB_LAW}"


LAWS = (pages, sql_in_strings, small_files, hub_files)
