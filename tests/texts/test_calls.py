"""Whoever asks for a sentence by its key gives every value it has a place for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dashboard.texts import texts_in as of_the_dashboard
from device.texts import texts_in as of_the_agent
from hub.cli.output import FOLDER
from hub.web.http.problems import texts_in as of_the_api
from texts.catalogue import Forms, read

ROOT = Path(__file__).parents[2]
EVENTS = {key.removeprefix("event."): text for key, text in of_the_dashboard("en").items() if key.startswith("event.")}


@pytest.mark.parametrize(
    ("folders", "speakers", "catalogue"),
    [
        (("device",), {"log", "_log", "texts", "_texts", "why"}, of_the_agent("en")),
        (("hub/cli",), {"sentence"}, read(FOLDER, "en")),
        (("dashboard", "hub/web"), {"t"}, of_the_dashboard("en")),
        (("dashboard",), {"words"}, EVENTS),
        (("hub",), {"Text", "one_wrong"}, of_the_api("en")),
    ],
)
def test_no_place_is_left_open(folders: tuple[str, ...], speakers: set[str], catalogue: Mapping[str, Forms]) -> None:
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    calls = [(path, call) for path in paths for call in _calls(path, speakers)]
    asked = [(path, line, key, given) for path, (line, key, given) in calls if key in catalogue]
    assert len(asked) > 10
    missing = {f"{path.name}:{line} {key}": open_ for path, line, key, given in asked
               if (open_ := _places(catalogue[key]) - given)}  # fmt: skip
    assert missing == {}


def _calls(path: Path, speakers: set[str]) -> Iterator[tuple[int, str, set[str]]]:
    """Line, key and the names of the values; calls that give values by ** are left to the tests of their room."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in speakers:
            keys = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            tables = [arg for arg in node.args if isinstance(arg, ast.Dict)]
            given = {word.arg for word in node.keywords} | {_name(key) for table in tables for key in table.keys}
            if keys and None not in given and len(node.args) - len(tables) == len(keys):
                yield node.lineno, keys[-1], {name for name in given if name}


def _name(key: ast.expr | None) -> str | None:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _places(forms: Forms) -> set[str]:
    every = [forms] if isinstance(forms, str) else forms.values()
    return {place for form in every for place in re.findall(r"\{(\w+)\}", form)}
