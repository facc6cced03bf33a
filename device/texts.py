"""The agent's sentences for people, by code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from texts.catalogue import Texts, read

FOLDER: Final = Path(__file__).parent / "locales"


def texts_in(language: str) -> Texts:
    return read(FOLDER, language)
