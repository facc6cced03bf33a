"""Every password that this repository shows to people is refused: read out of its documents, help and API document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.model import credentials
from hub.routes import OPERATIONS

ROOT = Path(__file__).parents[4]
SHOWN = (
    "README*.md", "CONTRIBUTING.md", "docs/**/*.md", "bench/README.md", "hub/**/*.json", "device/**/*.json",
    "dashboard/locales/*.json", "dashboard/templates/*.html", "texts/**/*.json",
)  # fmt: skip
QUOTED = re.compile(
    r"""(?<![\w.])(?:password|kata[ _]sandi)["'`]?\s*[:=]\s*["'`]([^"'`\n]{10,})["'`]   # "password": "..."
    |(?:printf|echo)\s+(?:'%s\\?n?'\s+)?["']([^"'\n]{10,})["']\s*>             # into a file
    |//[^\s/:@]+:([^\s/@]{10,})@                                              # in the address of a database
    """,
    re.IGNORECASE | re.VERBOSE,
)
FAMOUS = (
    "correct horse battery staple", "Correct-Horse-Battery-Staple", "correcthorsebatterystaple",
    credentials.EXAMPLE_PASSWORD, credentials.EXAMPLE_PASSWORD.upper(), credentials.EXAMPLE_PASSWORD.replace(" ", "_"),
    "Password 1234", "qwerty.123456",
)  # fmt: skip


def members(value: Any) -> Iterator[str]:
    """What stands in examples as a password."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if "password" in name and isinstance(inner, str):
                yield inner
            yield from members(inner)


def in_examples() -> list[str]:
    return [text for operation in OPERATIONS for text in members(operation.example)]


def in_texts() -> Iterator[str]:
    for path in sorted({path for pattern in SHOWN for path in ROOT.glob(pattern)}):
        for member, in_file, in_address in QUOTED.findall(path.read_text("utf-8")):
            if path.suffix == ".json":  # "password" is the name of a text there
                member = ""
            yield from filter(None, (member, in_file, in_address))


@pytest.mark.parametrize("known", FAMOUS)
def test_a_password_that_everybody_knows_is_refused(known: str) -> None:
    assert credentials.password_fault(known) == "common"


def test_every_password_that_we_show_is_refused() -> None:
    shown = in_examples()
    assert shown, "the example of signing in has one"
    taken = [text for text in [*shown, *in_texts()] if credentials.password_fault(text) is None]
    assert taken == [], "put them into hub.model.credentials"


@pytest.mark.parametrize(
    "line",
    [
        '{"email": "a@b.c", "password": "a quite new example"}',
        "password: 'a quite new example'",
        "printf 'a quite new example' > password.txt",
        "postgresql://rvm:a-quite-new-example@db/rvm",
    ],
)
def test_an_example_is_found_where_it_could_stand(line: str) -> None:
    (found,) = QUOTED.findall(line)
    assert "new" in "".join(found)
