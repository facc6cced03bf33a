"""The facts of hello, on trees."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from device.system import hardware
from device.system_monitor import jetson
from protocol import free_shape
from protocol.limits import MAX_HARDWARE_BYTES
from tests.device import trees


def test_an_orin(tmp_path: Path) -> None:
    facts = hardware.describe(trees.orin_nano_jetpack6(tmp_path))
    assert facts["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (facts["l4t"], facts["cores"], facts["memory_bytes"]) == ("36.3.0", 2, 7802112 * 1024)
    assert facts["os"] == "Ubuntu 22.04.5 LTS"


def test_older_and_other_machines(tmp_path: Path) -> None:
    assert jetson.l4t(trees.agx_orin_jetpack5(tmp_path / "a")) == "35.4.1"
    pc = hardware.describe(trees.ordinary_pc(tmp_path / "b"), ["door.service", "camera"])
    assert pc["services"] == ["camera", "door.service"]
    assert "services" not in hardware.describe(tmp_path)
    assert pc["model"] == "OptiPlex 7010"
    assert "l4t" not in pc
    assert hardware.model(tmp_path / "nothing") == socket.gethostname()


def test_facts_that_are_too_many_lose_the_largest_and_the_hub_keeps_the_others() -> None:
    facts = {"model": "Orin", "services": ["s" * 100] * 50, "remote": {"download": ["/" + "d" * 400] * 20}}
    assert hardware.fitted(facts) == {"model": "Orin", "services": facts["services"]}
    assert free_shape.fits(hardware.fitted(facts), MAX_HARDWARE_BYTES)
    assert hardware.fitted({"model": "Orin"}) == {"model": "Orin"}


def test_the_boot_is_the_kernels_or_new(tmp_path: Path) -> None:
    root = trees.linux(tmp_path)
    assert hardware.boot_id(root) == trees.BOOT_ID
    assert hardware.boot_milliseconds(root) == 86_400_200
    assert hardware.boot_id(tmp_path / "no") != hardware.boot_id(tmp_path / "no")
    assert hardware.boot_milliseconds(tmp_path / "no") == 1


@pytest.mark.parametrize(
    ("target", "zone"),
    [
        ("/usr/share/zoneinfo/Asia/Jakarta", "Asia/Jakarta"),
        ("../usr/share/zoneinfo/America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        ("/usr/share/zoneinfo/UTC", "UTC"),
        ("/usr/share/zoneinfo/../../etc/passwd", None),
        ("/somewhere/else", None),
    ],
)
def test_the_zone_is_read_from_the_link(tmp_path: Path, target: str, zone: str | None) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to(target)
    assert hardware.timezone_name(tmp_path) == zone


def test_the_zone_may_stand_in_a_file(tmp_path: Path) -> None:
    assert hardware.timezone_name(tmp_path) is None
    trees.write(tmp_path, {"etc/timezone": "Asia/Makassar\n"})
    assert hardware.timezone_name(tmp_path) == "Asia/Makassar"


def test_the_board_is_known_by_its_serial_and_the_system_by_a_hash(tmp_path: Path) -> None:
    assert (hardware.board_serial(tmp_path), hardware.machine_id(tmp_path)) == (None, None)
    trees.write(tmp_path, {"sys/class/dmi/id/board_serial": "Default string\n", "etc/machine-id": "short\n"})
    assert (hardware.board_serial(tmp_path), hardware.machine_id(tmp_path)) == (None, None)
    trees.write(tmp_path, {"sys/class/dmi/id/product_serial": "0000\n"})
    assert hardware.board_serial(tmp_path) is None
    own = "0123456789abcdef0123456789abcdef"
    trees.write(tmp_path, {"proc/device-tree/serial-number": "1424822031234\x00", "etc/machine-id": f"{own}\n"})
    found = hardware.machine_id(tmp_path)
    assert hardware.board_serial(tmp_path) == "1424822031234"
    assert found is not None
    assert (len(found), own in found) == (64, False)
    assert hardware.describe(tmp_path)["board_serial"] == "1424822031234"
