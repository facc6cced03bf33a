"""The sentences of the command line in the language of its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from texts.catalogue import read
from texts.languages import from_environment

FOLDER: Final = Path(__file__).parent / "locales"


def language() -> str:
    return from_environment(os.environ)


def say(key: str, /, **values: object) -> str:
    """The sentence of this key, with its places filled."""
    return read(FOLDER, language())(key, **values)


def say_or(key: str, english: str, /, **values: object) -> str:
    """The same, of a key that may be missing."""
    texts = read(FOLDER, language())
    return texts(key, **values) if key in texts else english.format(**values)
