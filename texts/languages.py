"""Which of the product's languages a reader wants: by a process's environment, or by a browser's header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "id")
DEFAULT: Final = "en"
VARIABLES: Final = ("RVM_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first set one decides: ours, then in POSIX's order."""
LONGEST_HEADER: Final = 500
"""Characters that are read; browsers send fewer than 100."""

_OLD_CODES: Final = {"in": "id"}
_RANGE: Final = re.compile(
    r"\s*(\*|[a-z]{1,8})(?:-[a-z0-9]{1,8})*\s*(?:;\s*q\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?)\s*)?", re.I | re.A
)


def from_environment(environ: Mapping[str, str]) -> str:
    """English when it asks for another."""
    wanted = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    return _ours(re.split(r"[_.@-]", wanted, maxsplit=1)[0]) or DEFAULT


def from_accept_language(header: str) -> str | None:
    """Of ours, weighed highest, the first of equals; None: neither. Ranges not written as in RFC 9110 are left out."""
    if len(header) > LONGEST_HEADER:
        header = header[:LONGEST_HEADER].rpartition(",")[0]
    weights: dict[str, float] = {}
    for part in header.split(","):
        if found := _RANGE.fullmatch(part):
            name = "*" if found[1] == "*" else _ours(found[1])
            if name is not None:
                weights[name] = max(float(found[2] or 1), weights.get(name, 0.0))
    for_others = weights.pop("*", 0.0)
    weights.update({name: for_others for name in LANGUAGES if name not in weights})
    best = max(weights, key=lambda name: weights[name])
    return best if weights[best] > 0 else None


def _ours(primary: str) -> str | None:
    code = primary.strip().lower()
    code = _OLD_CODES.get(code, code)
    return code if code in LANGUAGES else None
