"""Puts our ES modules together into one classic script a page: no tool to install, nothing to run before start.

A module is a file of static/js with `import { a, b } from "./x.js"` lines on top and `export` before declarations; in
the bundle each becomes a function that answers its exports. Comments on lines of their own and indentation are left
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

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


def bundle(entry: Path, texts: Mapping[str, str], language: str) -> str:
    """One script with the texts its modules name, in one language."""
    paths = modules(entry)
    numbers = {path: f"m{number}" for number, path in enumerate(paths)}
    words = json.dumps(texts_for(paths, texts), ensure_ascii=False, separators=(",", ":"))
    # What a module exports is read once, so the texts are put in before texts.js answers its exports.
    first = {path: f"useTexts({words},{json.dumps(language)});\n" for path in paths if path.name == "texts.js"}
    parts = [_part(path, numbers, first.get(path, "")) for path in paths]
    return '"use strict";(()=>{\n' + "".join(parts) + "})();\n"


def texts_for(paths: list[Path], texts: Mapping[str, str]) -> dict[str, str]:
    """Of all texts those the modules can ask for: by name, or by the beginning of a name."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    names = {name for found in TEXT.findall(source) for name in found if name} | set(PAIR.findall(source))
    groups = tuple(f"{a or b}." for a, b in TEXT_GROUP.findall(source))
    return {
        key: text for key, text in texts.items() if key.removesuffix(".one") in names or key.startswith(groups)
    }


def _part(path: Path, numbers: Mapping[Path, str], last: str) -> str:
    text = path.read_text(encoding="utf-8")
    exports = ",".join(EXPORT.findall(text))
    needs = [f"const {{{names.strip()}}}={numbers[_at(path, where)]};\n" for names, where in IMPORT.findall(text)]
    body = EXPORT.sub("", IMPORT.sub("", text))
    body = re.sub(r"^[ \t]*/\*\*.*?\*/[ \t]*$", "", body, flags=re.MULTILINE | re.DOTALL)
    lines = (line.strip() for line in body.splitlines())
    kept = "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))
    return f"const {numbers[path]}=(()=>{{\n{''.join(needs)}{kept}{last}return {{{exports}}};}})();\n"


def _at(path: Path, where: str) -> Path:
    return (path.parent / where).resolve()
