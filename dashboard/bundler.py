"""Puts our ES modules together into one classic script a page: no tool to install, nothing to run before start.

A module is a file of static/js with `import { a, b } from "./x.js"` lines on top and `export` before declarations; in
the bundle each becomes a function that answers its exports. Comments on lines of their own and indentation are left
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dashboard import shrink

IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) ([A-Za-z_$][\w$]*))", re.MULTILINE)
# t("key"), said("prefix", …) and t(`prefix.${…}`): how modules name the texts they need.
TEXT = re.compile(r'\bt\(\s*(?:[^()"`]*\? )?"([^"]+)"(?: : "([^"]+)")?')
TEXT_GROUP = re.compile(r'(?:\bt\(`([\w.]+?)\.?\$\{|\bsaid\("(\w+)")')
PAIR = re.compile(r'\bpair\("([^"]+)"')


class BundleError(Exception):
    """A module that imports what is not there, or itself in a circle."""


def modules(entry: Path) -> list[Path]:
    """The entry and all it imports, each after what it needs."""
    found: list[Path] = []
    pending: set[Path] = set()

    def visit(path: Path) -> None:
        if path in found:
            return
        if path in pending:
            raise BundleError(f"{path.name} imports itself in a circle")
        if not path.is_file():
            raise BundleError(f"there is no module {path}")
        pending.add(path)
        for _, needed in IMPORT.findall(path.read_text(encoding="utf-8")):
            visit(_at(path, needed))
        found.append(path)

    visit(entry.resolve())
    return found


def bundle(entry: Path) -> str:
    """One script of an entry and all it needs."""
    paths = modules(entry)
    numbers = {path: f"m{number}" for number, path in enumerate(paths)}
    wanted = _wanted(paths)
    return '"use strict";(()=>{\n' + "".join(_part(path, numbers, wanted[path]) for path in paths) + "})();\n"


def texts_for(entry: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Of all texts those the script's modules can ask for: by name, or by the beginning of a name."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in modules(entry))
    names = {name for found in TEXT.findall(source) for name in found if name} | set(PAIR.findall(source))
    groups = tuple(f"{a or b}." for a, b in TEXT_GROUP.findall(source))
    return {key: text for key, text in texts.items() if key.removesuffix(".one") in names or key.startswith(groups)}


def _wanted(paths: list[Path]) -> dict[Path, list[str]]:
    """What the modules of the bundle take from each."""
    wanted: dict[Path, set[str]] = {path: set() for path in paths}
    for path in paths:
        for names, where in IMPORT.findall(path.read_text(encoding="utf-8")):
            wanted[_at(path, where)].update(name.strip() for name in names.split(",") if name.strip())
    return {path: sorted(names) for path, names in wanted.items()}


def _part(path: Path, numbers: Mapping[Path, str], wanted: list[str]) -> str:
    text = path.read_text(encoding="utf-8")
    needs = "".join(
        f"const {{{names.strip()}}}={numbers[_at(path, where)]};\n" for names, where in IMPORT.findall(text)
    )
    body = IMPORT.sub("", text)
    body = re.sub(r"^[ \t]*/\*\*.*?\*/[ \t]*$", "", body, flags=re.MULTILINE | re.DOTALL)
    # An entry exports nothing and is there for what it does: all of it stays.
    body = shrink.without_unused(body, wanted) if wanted else body
    lines = (line.strip() for line in EXPORT.sub("", body).splitlines())
    kept = "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))
    exports = ",".join(name for name in wanted if name in EXPORT.findall(text))
    return f"const {numbers[path]}=(()=>{{\n{shrink.without_spaces(needs + kept)}return{{{exports}}};}})();\n"


def _at(path: Path, where: str) -> Path:
    return (path.parent / where).resolve()
