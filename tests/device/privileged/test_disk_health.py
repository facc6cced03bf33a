"""The program that writes down how worn the NVMe disks are: the question as the kernel takes it, the log as the
specification lays it out, and what it does not ask."""

from __future__ import annotations

import ast
import ctypes
import errno
import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from device.privileged import disk_health, units
from tests.support import nvme_disks
from tests.support.privileged_daemon import interpreters
from tests.support.two_users import only_root

FILE = Path(disk_health.__file__)


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (nvme_disks.SAMSUNG, {"worn": 0, "spare": 100, "celsius": 44}),
        (nvme_disks.APPLE, {"worn": 2, "spare": 100, "celsius": 32}),
        (nvme_disks.WORN_OUT, {"worn": 255, "spare": 3, "celsius": 71}),
        (bytes(512), {}),
        (b"\0\0\0\xff" + bytes(508), {"worn": 0}),
        (b"\xff" * 512, {"worn": 255, "celsius": 65262}),
    ],
)
def test_a_log_is_read_as_the_specification_lays_it_out(log: bytes, told: dict[str, int]) -> None:
    assert disk_health.health_of(log) == told


def test_the_question_is_what_the_kernel_expects() -> None:
    command = disk_health.smart_command(0x1122334455667788)
    assert len(command) == 72
    assert struct.unpack_from("=B3xI", command) == (0x02, 0xFFFFFFFF)
    assert struct.unpack_from("=QII", command, 24) == (0x1122334455667788, 0, 512)
    assert struct.unpack_from("=I", command, 40) == ((127 << 16) | 0x02,)
    assert struct.unpack_from("=I", command, 64) == (0,)  # the kernel resets a disk when this is over


def test_the_log_is_what_a_kernel_puts_where_the_question_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the system call is another: it reads the command and writes the page as the kernel does."""
    asked: list[tuple[int, int, int]] = []

    def kernel(handle: int, request: int, command: bytearray) -> int:
        opcode, length = command[0], struct.unpack_from("=I", command, 36)[0]
        address = struct.unpack_from("=Q", command, 24)[0]
        asked.append((handle, request, opcode))
        ctypes.memmove(address, nvme_disks.APPLE[:length], length)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", kernel)
    assert disk_health.health_log(7) == nvme_disks.APPLE
    assert asked == [(7, 0xC0484E41, 0x02)]


def test_a_status_of_the_disk_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0x4002)
    with pytest.raises(OSError, match="refuses"):
        disk_health.health_log(7)


ANSWERS = "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; import disk_health as d;"
"""The real program; `ask` alone is another, as no computer of a test has such a disk."""


def run(root: Path, folder: Path, ask: str = "d.health_log", python: str = sys.executable) -> tuple[int, str]:
    code = f"{ANSWERS} sys.exit(d.main(Path(sys.argv[1]), Path(sys.argv[2]), {ask}))"
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", code, str(root), str(folder), str(FILE.parent)],
        check=False, capture_output=True, text=True, timeout=60, env={}, umask=0o077,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


@only_root
@pytest.mark.parametrize("python", interpreters(), ids=os.path.basename)
def test_it_writes_down_each_disk_for_everybody_to_read(python: str, tmp_path: Path) -> None:
    root, folder = nvme_disks.with_disk(tmp_path), tmp_path / "out"
    folder.mkdir()
    code, journal = run(root, folder, f"lambda _: {nvme_disks.APPLE!r}", python)
    assert (code, journal) == (0, "<5>nvme0: worn 2, spare 100, celsius 32\n")
    written = json.loads((folder / disk_health.FILE).read_text())
    assert written["disks"] == {"nvme0": {"worn": 2, "spare": 100, "celsius": 32}}
    assert written["uptime_s"] > 0
    assert stat.S_IMODE((folder / disk_health.FILE).stat().st_mode) == 0o644
    assert [path.name for path in folder.iterdir()] == [disk_health.FILE]


@only_root
def test_a_device_that_answers_no_such_question_has_a_reason(tmp_path: Path) -> None:
    code, journal = run(nvme_disks.with_disk(tmp_path), tmp_path)
    assert (code, journal) == (0, "<4>nvme0: reason Inappropriate ioctl for device\n")
    assert json.loads((tmp_path / disk_health.FILE).read_text())["disks"] == {
        "nvme0": {"reason": os.strerror(errno.ENOTTY)}
    }


def never(_: int) -> bytes:
    raise AssertionError("it was asked")


@only_root
def test_what_is_not_the_kernels_device_of_that_name_is_not_asked(tmp_path: Path) -> None:
    """Links, files, pipes, sockets, block devices and devices of other numbers."""
    for name in ("nvme1", "nvme2", "nvme3", "nvme4", "nvme5", "nvme6"):
        nvme_disks.with_disk(tmp_path, name)
        (tmp_path / "dev" / name).unlink()
    (tmp_path / "dev/nvme1").symlink_to("/dev/null")
    (tmp_path / "dev/nvme2").write_bytes(nvme_disks.APPLE)
    os.mkfifo(tmp_path / "dev/nvme3")
    os.mknod(tmp_path / "dev/nvme4", stat.S_IFBLK | 0o600, os.makedev(1, 3))
    os.mknod(tmp_path / "dev/nvme5", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    nvme_disks.with_disk(tmp_path, "nvme7")
    (tmp_path / "sys/class/nvme/nvme7/dev").unlink()
    found = disk_health.look(tmp_path, never)
    assert sorted(found) == [f"nvme{number}" for number in range(1, 8)]
    assert all(set(facts) == {"reason"} for facts in found.values()), found


@only_root
def test_names_that_are_no_controllers_are_passed_over(tmp_path: Path) -> None:
    for name in ("nvme", "nvme0n1", "nvme-x", "nvme0 ", "nvme1234", "..nvme0", "sda", "nvme0\n", "NVME0"):
        (tmp_path / "sys/class/nvme" / name).mkdir(parents=True)
    assert disk_health.look(tmp_path, never) == {}
    assert disk_health.look(tmp_path / "nowhere", never) == {}


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    code, journal = run(tmp_path, tmp_path / "nowhere")
    assert code == 1
    assert journal == f"<3>{tmp_path}/nowhere/health.json: No such file or directory\n"


@pytest.mark.parametrize(("words", "environment"), [((), {}), (("/dev/sda",), {"RUNTIME_DIRECTORY": "/nowhere"})])
def test_it_takes_no_word_and_does_nothing_by_hand(words: tuple[str, ...], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(FILE), *words],
        check=False, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "<3>myrvm-disk-health.service starts this; it does nothing by hand\n"


def test_it_is_one_short_file_of_the_standard_library() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not {"subprocess", "socket"} & imported


def test_its_unit_has_one_capability_and_one_kind_of_device() -> None:
    text = units.rendered(python="/p", code="/c")["myrvm-disk-health.service"]
    assert "\nCapabilityBoundingSet=CAP_SYS_ADMIN\n" in text
    assert [line for line in text.splitlines() if line.startswith("DeviceAllow")] == ["DeviceAllow=char-nvme r"]
    assert f"{units.DISK_HEALTH_FILE}\n" in text
    assert "ListenStream" not in text
