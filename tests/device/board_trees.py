"""Makes the folders of recorded boards from the descriptions in tests/device/boards: names and values as public sources
tell them, each group with the sources it is `from`. `now` marks figures nobody recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from protocol.board import Board
from tests.device import trees

FOLDER: Final = Path(__file__).parent / "boards"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.json"))


def described(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def expected(name: str) -> Board:
    return msgspec.convert(described(name)["expected"], Board)


def make(name: str, root: Path) -> Path:
    trees.linux(root)
    for group in described(name)["groups"]:
        trees.write(root, group.get("files", {}))
        _zones(root, group.get("zones", {}))
        trees.cooling(root, group.get("cooling", {}))
        for address, channels in group.get("ina3221", {}).items():
            _monitor(root, address, channels)
        for chip, files in group.get("hwmon", {}).items():
            trees.write(root / "sys/class/hwmon" / chip, {file: f"{text}\n" for file, text in files.items()})
        for block, files in group.get("disks", {}).items():
            (root / "sys/block" / block / "device").mkdir(parents=True)
            trees.write(root / "sys/block" / block / "device", {file: f"{text}\n" for file, text in files.items()})
    return root


def _zones(root: Path, zones: dict[str, str | None]) -> None:
    trees.zones(root, {kind: milli or "" for kind, milli in zones.items()})
    for index, milli in enumerate(zones.values()):
        if milli is None:  # a read that fails, also for root
            file = root / f"sys/class/thermal/thermal_zone{index}/temp"
            file.unlink()
            file.mkdir()


def _monitor(root: Path, address: str, channels: list[tuple[str, int, int, int, int]]) -> None:
    chip = root / f"sys/bus/i2c/devices/{address}/hwmon/hwmon1"
    files = {"name": "ina3221\n", "in7_label": "sum of shunt voltages\n", "in7_input": "0\n"}
    for number, (label, volts, amperes, critical, most) in enumerate(channels, start=1):
        files |= {
            f"in{number}_label": f"{label}\n", f"in{number}_input": f"{volts}\n", f"curr{number}_input": f"{amperes}\n",
            f"curr{number}_crit": f"{critical}\n", f"curr{number}_max": f"{most}\n",
        }  # fmt: skip
    trees.write(chip, files)
