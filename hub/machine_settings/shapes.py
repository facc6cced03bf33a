"""The shapes of the settings' answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hub.web.http.validation import Instant

Block = Literal["remote_access", "timezone", "backup", "monitoring", "other"]
Origin = Literal["default", "file", "fleet", "machine"]


class Blocks(msgspec.Struct):
    """The values by subject; the keys that are not the product's own are in `other`."""

    remote_access: dict[str, Any]
    timezone: dict[str, Any]
    backup: dict[str, Any]
    monitoring: dict[str, Any]
    other: dict[str, Any]


class FleetSettings(msgspec.Struct):
    """What every machine inherits. `version` 0: nothing was ever written. `written` is all that machines are told; for
    any other key their own files come before the defaults."""

    version: int
    values: dict[str, Any]
    blocks: Blocks
    origins: dict[str, Literal["default", "fleet"]]
    written: dict[str, Any]
    updated_at: Instant | None
    updated_by: str | None


class MachineSettings(msgspec.Struct):
    """`values` is what is in force, as far as the machine has told of its own file; `written` is what was written for
    this machine, `inherited` what that stands before; `applied_errors` is what it could not take over of
    `applied_version`, and why."""

    version: int
    applied_version: int
    applied_at: Instant | None
    applied_errors: dict[str, str]
    values: dict[str, Any]
    blocks: Blocks
    origins: dict[str, Origin]
    written: dict[str, Any]
    inherited: dict[str, Any]
    updated_at: Instant | None
    updated_by: str | None


class MachineSetting(msgspec.Struct):
    """`value` is null for a key that nobody has given a value (any more)."""

    key: str
    value: Any
    origin: Origin
    inherited: Any
    block: Block
    version: int
    applied_version: int
    applied_error: str | None
