"""The texts of the command line in the reader's language: RVM_LANG, else LC_ALL or LANG. Standard library only."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path

LANGUAGES = ("en", "id")


def language(environ: Mapping[str, str] = os.environ) -> str:
    """`id` for Indonesian, else `en`."""
    wanted = next((environ[name] for name in ("RVM_LANG", "LC_ALL", "LANG") if environ.get(name)), "en")
    return "id" if wanted.lower().startswith("id") else "en"


def say(key: str, **values: object) -> str:
    """The text of this key, with its places filled."""
    return _texts(language())[key].format(**values)


@functools.lru_cache(maxsize=len(LANGUAGES))
def _texts(chosen: str) -> dict[str, str]:
    path = Path(__file__).with_name(f"texts_{chosen}.json")
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return texts
