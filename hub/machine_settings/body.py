"""Reads the bodies of the settings' operations and words their errors; `protocol.configuration` has the kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from hub.machine_settings.rules import SettingsRequest, StaleError, WrongSettingsError
from hub.web.http.problems import Problem, Text, invalid, one_wrong
from protocol import configuration as table
from protocol.configuration import Setting, WrongValueError
from protocol.limits import MAX_INTEGER

VersionSeen = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
FreeValue = bool | float | str | list[bool | float | str]
MAX_NAMED: Final = 20
_KINDS: Final[Mapping[str, Any]] = {
    "switch": bool, "networks": list[str], "zone": str, "zone_or_none": str, "addresses": str,
    "window": str, "page_names": list[str], "compression": Literal["gzip", "zstd"],
}  # fmt: skip


def _type_of(setting: Setting) -> Any:
    kind = _KINDS.get(setting.kind)
    if kind is None:
        number = int if setting.kind == "whole" else float
        kind = Annotated[number, msgspec.Meta(ge=setting.least, le=setting.most, description=setting.unit or None)]
    return kind | None


SettingsPatch: Final = msgspec.defstruct(
    "SettingsPatch",
    [
        *((key, _type_of(setting), msgspec.UNSET) for key, setting in table.SETTINGS.items()),
        ("version", VersionSeen | None, None),
    ],
    namespace={
        "__doc__": "Only what is named changes; null: inherit again. Any further key is yours: a truth value, number, "
        "text, or list of them. With the `version` you have seen, a write in between is answered 409. Also accepted: "
        '{"version": 7, "values": {...}}.'
    },
)


class SettingPatch(msgspec.Struct):
    """Also accepted: the key itself in place of `value`. null: inherit again."""

    value: FreeValue | msgspec.UnsetType | None = msgspec.UNSET
    version: VersionSeen | None = None


def read_settings(body: Any) -> SettingsRequest:
    if not isinstance(body, dict):
        raise Problem("invalid", Text("object_wanted"))
    version = _version(body)
    values = {name: value for name, value in body.items() if name != "version"}
    if "values" in values:
        inner = values.pop("values")
        if not isinstance(inner, dict):
            raise one_wrong("values", "expect.object")
        if values:
            raise one_wrong(next(iter(values))[:100], "unknown_member", known=["values", "version"])
        values = inner
    return SettingsRequest(values, version)


def read_setting(body: Any) -> Any:
    if not isinstance(body, dict):
        raise Problem("invalid", Text("object_wanted"))
    _version(body)
    return body


def request_for(key: str, body: Mapping[str, Any]) -> SettingsRequest:
    values = {name: value for name, value in body.items() if name != "version"}
    if len(values) != 1:
        raise one_wrong("value", "setting.one_value")
    (name, value), *_ = values.items()
    if name != "value" and name.replace("-", "_") != key:
        raise one_wrong(name[:100], "unknown_member", known=["value", key, "version"])
    return SettingsRequest({key: value}, body.get("version"))


def problem_of(error: StaleError | WrongSettingsError) -> Problem:
    if isinstance(error, StaleError):
        why = Text("stale", {"version": error.current})
        return Problem("conflict", why, errors={"version": [why]})
    return invalid({name[:100]: [why_not(wrong)] for name, wrong in list(error.errors.items())[:MAX_NAMED]})


def why_not(wrong: WrongValueError) -> Text:
    params = dict(wrong.params)
    if "kind" in params:
        params["kind"] = Text(f"kind.{params['kind']}")
    return Text(f"setting.{wrong.code}", params)


def _version(body: Mapping[str, Any]) -> int | None:
    version = body.get("version")
    if version is None or (isinstance(version, int) and not isinstance(version, bool) and 0 <= version <= MAX_INTEGER):
        return version
    raise one_wrong("version", "expect.whole_from", least=0)
