"""Names: one class name is one class, and the words of the glossary in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.house import House, Module

CLASSES_TODAY: frozenset[str] = frozenset()
"""Names that stand for more than one class. The list may only shrink."""
NOT_SAID: dict[str, str] = {
    "hear": "handle, receive",
    "heard": "handler, received",
    "say": "send, report",
    "said": "sent, reported",
    "tell": "send, notify",
    "told": "sent, notified, reported",
    "untold": "pending",
    "talk": "session, message context",
    "conversation": "session",
    "wish": "desired, requested",
    "wishes": "desired, requested",
    "pushed": "reported, sent",
    "in_force": "effective",
    "doorkeeper": "key conflicts",
    "doorstep": "unauthenticated limit",
    "standing": "pending",
    "fought": "contested",
    "kept_out": "quarantined",
    "pace": "rate limit, token bucket",
    "allowance": "rate limit, quota",
    "patience": "rate limit, time limit",
    "patiently": "until_available",
    "became_true": "on_commit",
    "riders": "write-behind",
    "farewell": "close_reason, goodbye",
    "forget": "purge, expire, drop",
    "lease": "remote session",
    "leases": "remote sessions",
}
"""Words that stand in no name of a module, class or function, with what is written instead. A word is looked for
between underscores and capitals: `_settings_in_force`, `InForce`."""
NAMES_TODAY: frozenset[str] = frozenset()
"""Names that have such a word today. The list may only shrink."""

CLASS_LAW = "one class name is one class in the whole product"
ONE_NAME_LAW = "a file calls what it imports by one name"
WORD_LAW = "names have the words of the glossary in CONTRIBUTING.md"


class Named(NamedTuple):
    """A name that a module defines, and where."""

    name: str
    place: str


def classes(house: House) -> Iterator[str]:
    for name, places in sorted(duplicate_classes(house).items()):
        if name not in CLASSES_TODAY:
            yield f"{name} stands in {', '.join(places)}; the law: {CLASS_LAW}"


def duplicate_classes(house: House) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module in house.product():
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(f"{module.shown}:{node.lineno}")
    return {name: places for name, places in found.items() if len(places) > 1}


def words(house: House) -> Iterator[str]:
    for word, one in forbidden_names(house):
        if one.name not in NAMES_TODAY:
            yield f"{one.place} {one.name}: not {word} but {NOT_SAID[word]}; the law: {WORD_LAW}"


def forbidden_names(house: House) -> Iterator[tuple[str, Named]]:
    """Every name that has a forbidden word as a part, with the word."""
    for module in house.product():
        for one in names_of(module):
            parts = "_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one.name).lower() + "_"
            yield from ((word, one) for word in NOT_SAID if f"_{word}_" in parts)


def names_of(module: Module) -> Iterator[Named]:
    """The module's own name, and those of its classes and functions."""
    if not module.within("db.migrations"):
        yield Named(module.name.rpartition(".")[2], module.shown)
        for node in module.nodes:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield Named(node.name, f"{module.shown}:{node.lineno}")


def one_name(house: House) -> Iterator[str]:
    """`import x` beside `import x as y`: two names that look like two modules."""
    for module in house.written_like_the_product():
        called: dict[tuple[int, str | None, str], str] = {}
        for node in module.nodes:
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    name = each.asname or each.name
                    other = called.setdefault((node.level, node.module, each.name), name)
                    if other != name:
                        yield f"{module.shown}:{node.lineno} {name} is {other}; the law: {ONE_NAME_LAW}"


_NO_NAME = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.DOTALL)
"""Comments and texts of a script."""
_SPOKEN = re.compile(r"\b(hear|heard|say|said|tell|told)\b")


def script_words(house: House) -> Iterator[str]:
    """Names of the pages' scripts, locals too: what a machine or the hub sends is received, not heard."""
    for path in sorted((house.root / "dashboard/static/js").rglob("*.js")):
        code = _NO_NAME.sub(lambda found: "\n" * found[0].count("\n"), path.read_text(encoding="utf-8"))
        for number, line in enumerate(code.splitlines(), 1):
            for found in _SPOKEN.finditer(line):
                place = f"{path.relative_to(house.root)}:{number}"
                yield f"{place} {found[0]}: not that but {NOT_SAID[found[0]]}; the law: {WORD_LAW}"


LAWS = (classes, words, one_name, script_words)
