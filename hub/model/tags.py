"""Tags of machines: short words of the operator's own, by which machines are filtered and grouped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_TAG: Final = 32
"""Characters of one."""
MAX_TAGS: Final = 10
"""Of one machine."""
MAX_TAGS_OF_USER: Final = 50
"""By which a technician has machines."""


def normalised(tag: str) -> str:
    """As a tag is stored and compared: one spelling, whoever typed it."""
    return " ".join(unicodedata.normalize("NFC", tag).lower().split())


def tags_of(given: Iterable[str]) -> tuple[str, ...]:
    """Each once, in alphabetical order."""
    return tuple(sorted({tag for each in given if (tag := normalised(each))}))


def typed(text: str) -> list[str]:
    """Of a field in which commas separate them."""
    return [tag for each in text.split(",") if (tag := normalised(each))]
