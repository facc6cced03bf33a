"""The kinds of value that members of messages and arguments of commands have: what is legal, and nothing else.

Percentages are 0-100, temperatures degrees C, timestamps RFC 3339 text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from protocol import limits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME, pattern=r"^[^\x00]*\Z")]
BootId = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""No control characters: what begins with one is a hub's own, and no machine can take its place."""
Text = Annotated[str, msgspec.Meta(max_length=limits.MAX_TEXT, pattern=r"^[^\x00]*\Z")]
Seq = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Version = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)]
Ref = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_INTEGER)] | Name
FreeShape = dict[str, Any]
"""Members whose inside this package does not know; `protocol.free_shape` bounds them."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Status = Literal["active", "inactive", "maintenance", "full", "error", "unknown"]
SpecialStatus = Literal["maintenance", "inactive", "error", "unknown"]
Capacity = Annotated[int, msgspec.Meta(ge=0, le=100)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
TemperatureC = Annotated[float, msgspec.Meta(ge=limits.TEMPERATURE_MIN_C, le=limits.TEMPERATURE_MAX_C)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Timestamp = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*\Z")]
UpdateState = Literal["accepted", "running", "succeeded", "failed", "rejected"]
TERMINAL_UPDATES = frozenset({"succeeded", "failed", "rejected"})
SyncMethod = Literal["automatic", "manual"]
ZoneSource = Literal["pinned", "lookup", "kept", "default"]
BackupType = Literal["full", "incremental"]
BackupClass = Literal["data", "configuration", "images", "logs"]
"""What a source of backups holds: images and logs may be left out, and each class is restored whole or not at all."""
