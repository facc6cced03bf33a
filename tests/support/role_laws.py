"""What a file may know by the role that its name says: page, api; and where SQL may stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house import House, Module

_SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP)\s+TABLE\s|PRAGMA\s)",
    re.IGNORECASE | re.DOTALL,
)
PAGES_TODAY: dict[str, tuple[str, ...]] = {
    "hub.machines.page": ("hub.timezone.page",),
    "hub.people.page": ("hub.machines.key_page",),
}
"""`module`: pages of other subjects that it imports. The list may only shrink."""

PAGE_LAW = "a page is imported by its own subject and by hub/routes.py: no page and no api knows another subject's page"
SQL_LAW = "no SQL outside db/, in no string either"


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
            if name not in PAGES_TODAY.get(module.name, ()):
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
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield f"{module.shown}:{node.lineno} {node.value.strip()[:40]!r}; the law: {SQL_LAW}"


LAWS = (pages, sql_in_strings)
