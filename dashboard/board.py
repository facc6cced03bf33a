"""A machine's board as lines of a card: power mode, rails, what slows it down, fans, disks, sensors. Pure. Takes
`board_report` of a machine (protocol/board.py as JSON)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from dashboard.reader import Reader
from dashboard.trouble import WORN

_OVER_CURRENT: Final = frozenset({"oc1", "oc2", "oc3"})
_QUIET: Final = frozenset({"absent", "offline"})
"""Reasons that are no news: what this board does not have, or has switched off."""


class BoardLine(NamedTuple):
    """`name`: what; `value`: how much, or why not; `marked`: somebody should look."""

    name: str
    value: str
    marked: bool = False


class BoardCard(NamedTuple):
    """`facts`: of the whole board; `parts`: (title, lines), one for each kind of part that there is."""

    facts: list[BoardLine]
    parts: list[tuple[str, list[BoardLine]]]


def card(r: Reader, report: Mapping[str, Any]) -> BoardCard:
    parts = {
        "rails": [_rail(r, rail) for rail in report["rails"]],
        "throttling": _throttling(r, report["throttling"]),
        "fans": [_fan(r, fan) for fan in report["fans"]],
        "disks": [_disk(r, disk) for disk in report["disks"]],
        "sensors": [_sensor(r, sensor) for sensor in report["sensors"]],
    }
    return BoardCard(_facts(r, report), [(r.t(f"hardware.{name}"), lines) for name, lines in parts.items() if lines])


def _facts(r: Reader, report: Mapping[str, Any]) -> list[BoardLine]:
    reasons = report["reasons"]
    found = [
        ("jetpack", report["jetpack"]),
        ("l4t", report["l4t"]),
        ("power_mode", report["power_mode"]),
        ("memory", r.t("hardware.memory.unified") if report["unified_memory"] else None),
        ("gpu_memory_bytes", None if report["gpu_memory_bytes"] is None else r.amount(report["gpu_memory_bytes"])),
    ]
    known = [(name, value if value is not None else _why(r, reasons.get(name))) for name, value in found]
    return [BoardLine(r.t(f"hardware.{name}"), value) for name, value in known if value]


def _why(r: Reader, reason: str | None) -> str:
    return "" if reason is None or reason in _QUIET else r.text_of("hardware.none", reason)


def _absent(r: Reader, reason: str | None) -> str:
    return "—" if reason is None else r.text_of("hardware.none", reason)


def _rail(r: Reader, rail: Mapping[str, Any]) -> BoardLine:
    watts, limit = rail["watts"], rail["limit_w"]
    if watts is None:
        return BoardLine(rail["name"], _absent(r, rail["reason"]))
    if limit is None:
        return BoardLine(rail["name"], r.t("hardware.watts", value=r.number(watts, 1)))
    words = r.t("hardware.watts.of", value=r.number(watts, 1), limit=r.number(limit, 1))
    return BoardLine(rail["name"], words, marked=watts >= limit)


def _throttling(r: Reader, found: Iterable[Mapping[str, Any]]) -> list[BoardLine]:
    """What slows it down now, or that nothing does; then what was counted since the start."""
    now, counted, known = [], [], False
    for each in found:
        if each["events"] is not None:
            name = r.t(f"hardware.{each['name']}") if each["name"] in _OVER_CURRENT else each["name"]
            words = r.t("hardware.events", n=r.number(each["events"]), count=each["events"])
            counted.append(BoardLine(name, words, marked=each["events"] > 0))
        elif each["active"]:
            now.append(BoardLine(each["name"], r.t("hardware.active"), marked=True))
        known = known or each["active"] is not None
    if known and not now:
        now.append(BoardLine(r.t("hardware.now"), r.t("hardware.idle")))
    return [*now, *counted]


def _fan(r: Reader, fan: Mapping[str, Any]) -> BoardLine:
    known = [] if fan["percent"] is None else [r.percent(fan["percent"])]
    known += [] if fan["rpm"] is None else [r.t("hardware.rpm", value=r.number(fan["rpm"]))]
    return BoardLine(fan["name"], ", ".join(known) or _absent(r, fan["reason"]))


def _disk(r: Reader, disk: Mapping[str, Any]) -> BoardLine:
    name = f"{disk['name']} ({r.text_of('hardware.disk', disk['kind'])})"
    # An older agent reports neither of the two, and its report may be a stored one.
    spare, celsius = disk.get("spare"), disk.get("celsius")
    known = [] if disk["worn"] is None else [r.t("hardware.worn", value=r.percent(disk["worn"]))]
    known += [] if spare is None else [r.t("hardware.spare", value=r.percent(spare))]
    known += [] if celsius is None else [r.reading("temperature", celsius)]
    marked = disk["worn"] is not None and disk["worn"] >= WORN
    return BoardLine(name, ", ".join(known) or _absent(r, disk["reason"]), marked=marked)


def _sensor(r: Reader, sensor: Mapping[str, Any]) -> BoardLine:
    value = sensor["celsius"]
    return BoardLine(sensor["name"], _absent(r, sensor["reason"]) if value is None else r.reading("temperature", value))
