"""A metrics frame without its bad readings: each is left out and named, the rest keeps its number."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import msgspec

from protocol import limits, messages
from protocol.errors import RemoteProtocolError

UNREADABLE_TIME: Final = "unreadable"
"""Timestamp of a sample whose own was missing or of the wrong type. Such a sample is not kept, but acknowledged, and
keeps its place so that others keep their numbers."""

# Greedy at the front: an offending value may itself contain what looks like a path.
_SENTENCE = re.compile(r"^(.*) - at `(?:key` in `)?\$\.?(.*)`$", re.DOTALL)
_LONGEST_INTEGER = 19


def describe(error: Exception) -> tuple[str, str]:
    """(what is wrong, path without `$.`)."""
    found = _SENTENCE.match(str(error))
    detail, path = (found[1], found[2]) if found else (str(error), "")
    return detail[: limits.MAX_TEXT], path


def with_wild_numbers(text: str) -> dict[str, Any] | None:
    """A metrics frame whose only fault is numbers that JSON or a double cannot hold (NaN, Infinity, 1e400), each as
    a text that no reading accepts; else None."""
    try:
        lax = json.loads(text, parse_constant=str, parse_float=_finite, parse_int=_bounded)
        # Once more through the strict decoder: only the numbers may have been at fault.
        plain = msgspec.json.decode(json.dumps(lax))
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) and plain.get("type") == "metrics" else None


def metrics(plain: dict[str, Any]) -> tuple[messages.Metrics, tuple[RemoteProtocolError, ...]]:
    """And one fault for each bad reading; raises RemoteProtocolError when something else is wrong."""
    samples = plain.get("samples")
    faults: list[RemoteProtocolError] = []
    # A list that is too long is refused as a whole below: no work is done for it here.
    if isinstance(samples, list) and len(samples) <= limits.MAX_SAMPLES_PER_FRAME:
        plain = {**plain, "samples": [_clean(sample, f"samples[{i}]", faults) for i, sample in enumerate(samples)]}
    try:
        return msgspec.convert(plain, messages.Metrics), tuple(faults)
    except msgspec.ValidationError as wrong:
        detail, field = describe(wrong)
        raise RemoteProtocolError("invalid", detail, field=field) from wrong


def _clean(sample: object, path: str, faults: list[RemoteProtocolError]) -> dict[str, Any]:
    if not isinstance(sample, dict):
        faults.append(RemoteProtocolError("invalid", "a sample is one object", field=path))
        return {"timestamp": UNREADABLE_TIME}
    kept = dict(sample)
    while (wrong := _fault_of(kept)) is not None:
        detail, member = describe(wrong)
        name = re.split(r"[.\[]", member, maxsplit=1)[0] or "timestamp"  # only this one can be missing
        faults.append(RemoteProtocolError("invalid", detail, field=f"{path}.{member or name}"))
        if name == "timestamp":
            return {"timestamp": UNREADABLE_TIME}
        del kept[name]  # ends: each turn takes one member away
    return kept


def _fault_of(sample: dict[str, Any]) -> msgspec.ValidationError | None:
    try:
        msgspec.convert(sample, messages.Sample)
    except msgspec.ValidationError as wrong:
        return wrong
    return None


def _finite(literal: str) -> float | str:
    value = float(literal)
    return value if math.isfinite(value) else literal[: limits.MAX_NAME]


def _bounded(literal: str) -> int | str:
    return int(literal) if len(literal) <= _LONGEST_INTEGER else literal[: limits.MAX_NAME]
