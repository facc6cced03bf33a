"""The project's own source, read for the architecture test: modules, imports, functions. Never runs it."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PRODUCT = ("protocol", "archive", "texts", "db", "certs", "dashboard", "device", "hub", "demo", "installer")
DOORS = ("bootstrap", "run_hub", "run_device", "run_tests")
AROUND = ("bench", "scripts", "tests")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported module of ours or of others; `name` is as precise as the tree allows (`hub.model.changes`)."""

    name: str
    line: int


class Module(NamedTuple):
    """One file. `name` is dotted from the root, a package's `__init__` has the package's name."""

    name: str
    path: Path
    shown: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    """Of the whole tree, walked once: each law goes over all of them."""
    lines: int
    imports: tuple[Import, ...]
    aliases: Mapping[str, str]
    """What each name that an import binds stands for: `dt` for `datetime.datetime`."""

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_product(self) -> bool:
        return self.room in PRODUCT

    def within(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)

    def names(self) -> Iterator[tuple[str, int]]:
        """Everything imported that is looked at, under its own dotted name however it was imported or renamed
        (`time.monotonic` for `from time import monotonic as m; m`), with the line."""
        for node in self.nodes:
            if isinstance(node, (ast.Name, ast.Attribute)):
                name = self.resolve(node)
                if name:
                    yield name, node.lineno

    def resolve(self, node: ast.expr) -> str:
        """The dotted name of what an expression names; empty for what was not imported."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, "")
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its dotted name inside the module (`Announcer.see`)."""
        yield from _functions(self.tree, "")


class House(NamedTuple):
    """The whole tree."""

    root: Path
    modules: dict[str, Module]

    def __repr__(self) -> str:
        return f"the house in {self.root}"

    def product(self) -> Iterator[Module]:
        return (module for module in self.modules.values() if module.is_product)

    def written_like_the_product(self) -> Iterator[Module]:
        """Also the doors and the scripts. Not bench/, which plays other programs and ends with its run, nor tests/."""
        return (module for module in self.modules.values() if module.room not in ("bench", "tests"))


def read_house(root: Path) -> House:
    """Parse everything of ours below `root`."""
    paths = [root / f"{door}.py" for door in DOORS if (root / f"{door}.py").exists()]
    for room in PRODUCT + AROUND:
        paths += sorted((root / room).rglob("*.py"))
    names = {_dotted(path, root): path for path in paths}
    collecting = gc.isenabled()
    gc.disable()  # a million nodes that all stay: looking for those that do not takes as long as reading
    try:
        return House(root, {name: _read(name, path, root, frozenset(names)) for name, path in names.items()})
    finally:
        if collecting:
            gc.enable()


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(name: str, path: Path, root: Path, known: frozenset[str]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    nodes = tuple(ast.walk(tree))
    imports = tuple(_imports(nodes, package, known))
    aliases = dict(_aliases(nodes, package))
    return Module(name, path, str(path.relative_to(root)), tree, nodes, len(text.splitlines()), imports, aliases)


def _imports(nodes: Iterable[ast.AST], package: str, known: frozenset[str]) -> Iterator[Import]:
    """Also those inside functions and behind TYPE_CHECKING: what is hidden is still imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            for alias in node.names:
                precise = f"{base}.{alias.name}"
                yield Import(precise if precise in known else base, node.lineno)
        elif isinstance(node, ast.Call) and _name(node.func) in ("importlib.import_module", "__import__"):
            first = node.args[0] if node.args else None
            yield Import(str(first.value) if isinstance(first, ast.Constant) else "a computed name", node.lineno)


def _aliases(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{_base(node, package)}.{alias.name}"


def _name(called: ast.expr) -> str:
    """`name` or `owner.name`; empty for what is longer or computed."""
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return f"{called.value.id}.{called.attr}"
    return called.id if isinstance(called, ast.Name) else ""


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module an import is from; one with dots in front is counted from the package it stands in."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _functions(child, prefix)
