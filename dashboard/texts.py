"""The dashboard's sentences, by key, in the reader's language."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from texts.catalogue import Texts, read
from texts.languages import DEFAULT, LANGUAGES

FOLDER: Final = Path(__file__).parent / "locales"


@cache
def texts_in(language: str) -> Texts:
    return read(FOLDER, language if language in LANGUAGES else DEFAULT)
