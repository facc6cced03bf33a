"""Checks one value of file or environment against its key's rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from device.settings.backup_values import backup_value
from device.settings.table import Key, Value, is_dynamic
from protocol.addresses import normalise_address
from protocol.commands import Unit
from protocol.configuration import WrongValueError, checked
from protocol.limits import MAX_FILE_PATH

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*\Z")]
Folder = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FILE_PATH, pattern=r"^/[^\x00]*\Z")]
Words = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=64)]


class OnDemand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`start`: the service itself, or a command that starts it and ends. Without `stop` the process of `start` is
    ended."""

    start: Words
    stop: Words | None = None
    ready_timeout: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 20.0


class _Services(msgspec.Struct):
    services: dict[str, OnDemand]


_KINDS: Final[dict[str, Any]] = {
    "ports": Annotated[list[Port], msgspec.Meta(max_length=32)],
    "argv": Annotated[list[Word], msgspec.Meta(max_length=64)],
    "folders": Annotated[list[Folder], msgspec.Meta(max_length=32)],
}
KINDS: Final = frozenset({*_KINDS, "address", "on_demand"})
BACKUP_KINDS: Final = frozenset({"backup_sources", "age_key"})


def remote_value(kind: str, value: object) -> Any:
    if kind == "address":
        address = normalise_address(value) if isinstance(value, str) else None
        if address is None:
            raise ValueError("not an address")
        return address
    if kind == "on_demand":
        return msgspec.to_builtins(_services(value))
    found = msgspec.convert(value, _KINDS[kind])
    return list(dict.fromkeys(found)) if kind != "argv" else found


def on_demand(value: object) -> dict[int, OnDemand]:
    return {int(port): service for port, service in _services(value).items()}


def _services(value: object) -> dict[str, OnDemand]:
    found = msgspec.convert({"services": value}, _Services).services
    _are_ports(found)
    return found


def _are_ports(given: Mapping[str, object]) -> None:
    if len(given) > 32:
        raise ValueError("too many")
    for port in given:
        if not (port.isascii() and port.isdigit() and str(int(port)) == port and 1 <= int(port) <= 65535):
            raise ValueError("not a port")


MAX_UNITS: Final = 20
_SWITCHES: Final = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)
_LISTS: Final = ("networks", "units", "folders")
_TEXTS: Final = ("text", "zone", "zone_or_none", "addresses", "address", "window", "compression", "age_key")


class AgentSettingsError(Exception):
    """Texts render `code` and `values`; `key` is at fault."""

    def __init__(self, code: str, key: str = "", **values: object) -> None:
        super().__init__(f"{code}: {key}")
        self.code = code
        self.key = key
        self.values = {"key": key, **values}


def from_text(key: str, rule: Key, text: str) -> Value:
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
    if is_dynamic(key):
        try:
            return checked(key, value)
        except WrongValueError as wrong:
            raise AgentSettingsError(wrong.code, key, **readable(wrong)) from wrong
    return _static(key, rule, value)


def readable(wrong: WrongValueError) -> dict[str, str]:
    return {name: f"{v:g}" if isinstance(v, float) else str(v) for name, v in wrong.params.items()}


def _static(key: str, rule: Key, value: object) -> Value:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if rule.kind == "text" and isinstance(value, str):
        return value.strip()
    if rule.kind == "switch" and isinstance(value, bool):
        return value
    if rule.kind == "id" and isinstance(value, (int, str)) and not isinstance(value, bool):
        if 0 < len(str(value).strip()) <= 100 and str(value).isprintable() and "/" not in str(value):
            return value.strip() if isinstance(value, str) else value
        raise AgentSettingsError("wrong_id", key)
    if rule.kind == "units":
        return _units(key, value)
    if rule.kind in KINDS:
        return _or_refused(key, rule.kind, remote_value, value)
    if rule.kind in BACKUP_KINDS:
        return _or_refused(key, rule.kind, backup_value, value)
    if rule.kind in ("number", "whole") and is_number and isinstance(value, (int, float)):
        if rule.kind == "whole" and value != int(value):
            raise AgentSettingsError("wrong_type", key, kind=rule.kind, default=repr(rule.default))
        if not rule.least <= value <= rule.most:
            raise AgentSettingsError("out_of_bounds", key, least=f"{rule.least:g}", most=f"{rule.most:g}")
        return int(value) if rule.kind == "whole" else float(value)
    raise AgentSettingsError("wrong_type", key, kind=rule.kind, default=repr(rule.default))


def _units(key: str, value: object) -> Value:
    try:
        units = msgspec.convert(value, list[Unit])
    except msgspec.ValidationError as wrong:
        raise AgentSettingsError("wrong_units", key) from wrong
    if len(units) > MAX_UNITS:
        raise AgentSettingsError("wrong_units", key)
    return units


def _or_refused(key: str, kind: str, check: Callable[[str, object], Any], value: object) -> Value:
    try:
        found: Value = check(kind, value)
    except ValueError as wrong:  # a ValidationError is one
        raise AgentSettingsError(f"wrong_{kind}", key) from wrong
    return found
