"""Decides each dynamic key's effective value: environment over hub over file over default; and why one of the hub's
is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from protocol.configuration import MAX_FREE_KEYS, SETTINGS, Value, WrongValueError, checked, is_free, key_of

ENVIRONMENT: Final = "environment "
"""Prefix of a value's origin; the variable's name follows."""
_QUERY: Final = re.compile(r"\?[^,\s]*")


class HubSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Unchecked. Version 0: none were written."""

    version: int = 0
    values: dict[str, Any] = msgspec.field(default_factory=dict)


class EffectiveValues(NamedTuple):
    """Of the keys that the hub decides; `errors`: why a key of the hub is not effective."""

    values: Mapping[str, Value]
    origins: Mapping[str, str]
    errors: Mapping[str, WrongValueError]


def effective_values(
    from_hub: HubSettings, own: Mapping[str, object], origins: Mapping[str, str], static: Collection[str]
) -> EffectiveValues:
    """The hub's values over a machine's `own` with `origins`; `static` keys are the owner's. A wrong value costs its
    key only."""
    values: dict[str, Value] = {}
    errors: dict[str, WrongValueError] = {}
    for name, value in from_hub.values.items() if from_hub.version > 0 else ():
        found = _judged(name, value, own, origins, static)
        if isinstance(found, WrongValueError):
            errors[name] = found
        elif is_free(found[0]) and sum(map(is_free, values)) >= MAX_FREE_KEYS:
            errors[name] = WrongValueError("too_many", most=MAX_FREE_KEYS)
        else:
            values[found[0]] = found[1]
    return EffectiveValues(values, dict.fromkeys(values, "hub"), errors)


def set_here(own: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Value]:
    """Dynamic keys set by file or environment, for the hub to show; addresses without their query, which may hold a
    key."""
    found = {key: own[key] for key in SETTINGS if origins[key] == "file" or origins[key].startswith(ENVIRONMENT)}
    return {key: _QUERY.sub("?...", str(v)) if SETTINGS[key].kind == "addresses" else v for key, v in found.items()}


def _judged(
    name: str, value: object, own: Mapping[str, object], origins: Mapping[str, str], static: Collection[str]
) -> tuple[str, Value] | WrongValueError:
    """Key and value as read here, or why not."""
    try:
        key = key_of(name)
        found = checked(key, value)
    except WrongValueError as wrong:
        return wrong
    if key in static:
        return WrongValueError("static_key")
    origin = origins.get(key, "")
    if origin.startswith(ENVIRONMENT) and own.get(key) != found:
        return WrongValueError("environment", variable=origin.removeprefix(ENVIRONMENT))
    return key, found
