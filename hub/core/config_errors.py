"""How much of a machine's complaints about its settings is kept, and how much of that one line of the record tells.

A machine chooses the keys and the words. Pure; what they mean is `hub.core.config_reports`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from hub.core.reported_events import too_large

MOST_KEYS: Final = 64
MOST_TEXT: Final = 200
"""Characters of one reason."""


def kept(errors: Mapping[str, str]) -> dict[str, str]:
    """The first of them, each cut to a length that can be shown."""
    return {key: _cut(why) for key, why in islice(errors.items(), MOST_KEYS)}


def told(params: Mapping[str, Any], errors: Mapping[str, str], beyond: int) -> dict[str, Any]:
    """The parameters of an event with as many errors as fit into one, and how many `more` there are with those `beyond`
    what is kept."""
    shown: dict[str, str] = {}
    for key, why in errors.items():
        if too_large({**params, "errors": {**shown, key: why}, "more": len(errors) + beyond}):
            break
        shown[key] = why
    more = len(errors) - len(shown) + beyond
    return {**params, "errors": shown} | ({"more": more} if more else {})


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
