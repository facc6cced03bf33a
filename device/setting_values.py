"""One value of the configuration, from the file or from the environment's text, checked against its key's rule."""

from __future__ import annotations

import json
import math
from typing import Final

import msgspec

from device import remote_values
from device.settings_table import Key, Value, is_dynamic
from protocol.commands import Unit
from protocol.configuration import WrongValueError, checked

MAX_UNITS: Final = 20
_SWITCHES: Final = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)
_LISTS: Final = ("networks", "units", "folders")
_TEXTS: Final = ("text", "zone", "zone_or_none", "addresses", "address")


class SettingsError(Exception):
    """A configuration that cannot work. `code` and `values` are rendered by texts; `key` is the key at fault."""

    def __init__(self, code: str, key: str = "", **values: object) -> None:
        super().__init__(f"{code}: {key}")
        self.code = code
        self.key = key
        self.values = {"key": key, **values}


def from_text(key: str, rule: Key, text: str) -> Value:
    """A value from the environment, where everything is text; raises SettingsError."""
    text = text.strip()
    if rule.kind == "switch" and text.lower() in _SWITCHES:
        return _SWITCHES[text.lower()]
    if rule.kind in _LISTS and not text.startswith("["):
        return typed(key, rule, [part.strip() for part in text.split(",") if part.strip()])
    if rule.kind in _TEXTS:
        return typed(key, rule, text)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return typed(key, rule, value)


def typed(key: str, rule: Key, value: object) -> Value:
    """The value as everybody reads it; raises SettingsError."""
    if is_dynamic(key):
        try:
            return checked(key, value)
        except WrongValueError as wrong:
            raise SettingsError(wrong.code, key, **readable(wrong)) from wrong
    return _static(key, rule, value)


def readable(wrong: WrongValueError) -> dict[str, object]:
    """What the sentence of a wrong value names."""
    return {name: f"{v:g}" if isinstance(v, float) else v for name, v in wrong.params.items()}


def _static(key: str, rule: Key, value: object) -> Value:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if rule.kind == "text" and isinstance(value, str):
        return value.strip()
    if rule.kind == "switch" and isinstance(value, bool):
        return value
    if rule.kind == "id" and isinstance(value, (int, str)) and not isinstance(value, bool):
        if 0 < len(str(value).strip()) <= 100 and str(value).isprintable() and "/" not in str(value):
            return value.strip() if isinstance(value, str) else value
        raise SettingsError("wrong_id", key)
    if rule.kind == "units":
        return _units(key, value)
    if rule.kind in remote_values.KINDS:
        return _of_remote_access(key, rule.kind, value)
    if rule.kind in ("number", "whole") and is_number and isinstance(value, (int, float)):
        if rule.kind == "whole" and value != int(value):
            raise SettingsError("wrong_type", key, kind=rule.kind, default=repr(rule.default))
        if not rule.least <= value <= rule.most:
            raise SettingsError("out_of_bounds", key, least=f"{rule.least:g}", most=f"{rule.most:g}")
        return int(value) if rule.kind == "whole" else float(value)
    raise SettingsError("wrong_type", key, kind=rule.kind, default=repr(rule.default))


def _units(key: str, value: object) -> Value:
    try:
        units = msgspec.convert(value, list[Unit])
    except msgspec.ValidationError as wrong:
        raise SettingsError("wrong_units", key) from wrong
    if len(units) > MAX_UNITS:
        raise SettingsError("wrong_units", key)
    return units


def _of_remote_access(key: str, kind: str, value: object) -> Value:
    try:
        found: Value = remote_values.remote_value(kind, value)
    except ValueError as wrong:  # a ValidationError is one
        raise SettingsError(f"wrong_{kind}", key) from wrong
    return found
