"""Both languages say everything, with the same places for values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from device import texts
from device.texts import Texts, language_of

EVERYTHING = {code: pair for table in texts._TABLES for code, pair in table.items()}
DEVICE = Path(texts.__file__).parent


@pytest.mark.parametrize("code", EVERYTHING)
def test_both_languages_have_the_same_places(code: str) -> None:
    english, indonesian = EVERYTHING[code]
    assert set(re.findall(r"{(\w+)", english)) == set(re.findall(r"{(\w+)", indonesian))


def test_no_code_stands_in_two_tables() -> None:
    assert len(EVERYTHING) == sum(len(table) for table in texts._TABLES)


def test_every_code_the_agent_speaks_of_exists() -> None:
    """Calls of log(...), texts(...), why(...) and SettingsError(...) with a literal code."""
    speakers = {"_log", "log", "texts", "why", "_texts", "SettingsError"}
    missing = []
    for path in DEVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            code = node.args[0].value
            if name in speakers and isinstance(code, str) and code not in EVERYTHING:
                missing.append(f"{path.name}:{node.lineno} {code}")
    assert missing == []


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "id_ID.UTF-8"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "en_US"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "de_DE"}, "en"),
        ({"LANG": "en_US", "RVM_LANG": "id"}, "id"),
    ],
)
def test_the_language_follows_the_environment(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language
    assert Texts(language)("stopping") in ("stopping", "berhenti")
