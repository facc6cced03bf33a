"""What a machine's board is made of and how it fares: shapes beside the samples, which change slowly.

A value that is absent is None, and `reason` has a word for programs: `absent` (this board has none), `offline` (it is
switched off), `unreadable` (it does not answer), `not_permitted` (only root may ask), `not_reported` (the part does not
tell) or `impossible` (what it says cannot be). More words may come.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from protocol import kinds, limits

ABSENT: Final = "absent"
OFFLINE: Final = "offline"
UNREADABLE: Final = "unreadable"
NOT_PERMITTED: Final = "not_permitted"
NOT_REPORTED: Final = "not_reported"
IMPOSSIBLE: Final = "impossible"
REASONS: Final = (ABSENT, OFFLINE, UNREADABLE, NOT_PERMITTED, NOT_REPORTED, IMPOSSIBLE)

_FEW: Final = msgspec.Meta(max_length=limits.MAX_BOARD_PARTS)


class BoardRail(msgspec.Struct, kw_only=True):
    """Power now, in watts, and from where on the board slows itself down."""

    name: kinds.Name
    watts: kinds.NonNegative | None = None
    limit_w: kinds.NonNegative | None = None
    reason: kinds.Name | None = None


class BoardSensor(msgspec.Struct, kw_only=True):
    """One temperature, in degrees C."""

    name: kinds.Name
    celsius: kinds.TemperatureC | None = None
    reason: kinds.Name | None = None


class BoardThrottle(msgspec.Struct, kw_only=True):
    """What may slow the processor or GPU down: whether it does `active`ly, or how often since the start of the system
    (`events`). An Orin's `oc1` is a supply voltage that was too low, `oc2` a current too high on average, `oc3` at
    once."""

    name: kinds.Name
    active: bool | None = None
    events: kinds.Seq | None = None


class BoardFan(msgspec.Struct, kw_only=True):
    """How strongly it is driven, and how fast it turns."""

    name: kinds.Name
    percent: kinds.Percent | None = None
    rpm: kinds.NonNegative | None = None
    reason: kinds.Name | None = None


class BoardDisk(msgspec.Struct, kw_only=True):
    """`kind`: nvme, emmc or sd. `worn`: percent of its life that is used, as it reports itself; may exceed 100.
    `spare`: percent of its spare blocks that are left. `celsius`: its own temperature."""

    name: kinds.Name
    kind: kinds.Name
    worn: kinds.NonNegative | None = None
    spare: kinds.Percent | None = None
    celsius: kinds.TemperatureC | None = None
    reason: kinds.Name | None = None


class Board(msgspec.Struct, kw_only=True):
    """`reasons`: why one of the first five is null. `unified_memory`: the GPU has no memory of its own, and
    `gpu_memory_bytes` is its part of the machine's."""

    jetpack: kinds.Name | None = None
    l4t: kinds.Name | None = None
    power_mode: kinds.Name | None = None
    unified_memory: bool | None = None
    gpu_memory_bytes: kinds.Seq | None = None
    rails: Annotated[list[BoardRail], _FEW] = []
    sensors: Annotated[list[BoardSensor], _FEW] = []
    throttling: Annotated[list[BoardThrottle], _FEW] = []
    fans: Annotated[list[BoardFan], _FEW] = []
    disks: Annotated[list[BoardDisk], _FEW] = []
    reasons: dict[kinds.Name, kinds.Name] = {}


SHAPES: Final = (Board, BoardRail, BoardSensor, BoardThrottle, BoardFan, BoardDisk)
