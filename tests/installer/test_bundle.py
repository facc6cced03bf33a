"""What of a lock goes into a bundle, for which Python and processor."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from installer import bundle
from installer.plan import SOURCE
from installer.steps import InstallError

LOCK = """
anyio==4.16.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
websockets==16.1.1 ; python_full_version < '3.11' \\
    --hash=sha256:cc
websockets==17.4 ; python_full_version >= '3.11' \\
    --hash=sha256:dd
uvloop==0.23.0 ; sys_platform != 'win32' and (platform_machine == 'aarch64' or platform_machine == 'x86_64') \\
    --hash=sha256:ee
"""


@pytest.mark.parametrize(("python", "version"), [("3.10", "16.1.1"), ("3.11", "17.4"), ("3.13", "17.4")])
def test_pins_are_chosen_for_the_python_of_the_machine_not_for_ours(python: str, version: str) -> None:
    assert bundle.requirements(LOCK, bundle.environment(python, "aarch64")) == [
        "anyio==4.16.0 --hash=sha256:aa      --hash=sha256:bb",
        f"websockets=={version} --hash=sha256:{'cc' if python == '3.10' else 'dd'}",
        "uvloop==0.23.0 --hash=sha256:ee",
    ]


@pytest.mark.parametrize("processor", bundle.PROCESSORS)
@pytest.mark.parametrize("python", bundle.PYTHONS)
@pytest.mark.parametrize("circle", ["device", "hub"])
def test_every_marker_of_our_locks_is_understood_as_pip_does(circle: str, python: str, processor: str) -> None:
    lock = (SOURCE / "locks" / f"{circle}-{python}.txt").read_text(encoding="utf-8")
    environment = bundle.environment(python, processor)
    pins = [Requirement(line.rstrip(" \\")) for line in lock.splitlines() if line and line[0] not in " #"]
    wanted = [f"{pin.name}{pin.specifier}" for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    found = [Requirement(line.partition(" --hash")[0]) for line in bundle.requirements(lock, environment)]
    assert [f"{pin.name}{pin.specifier}" for pin in found] == wanted
    assert len(wanted) > 8


@pytest.mark.parametrize(
    "marker", ["extra == 'x'", "python_version in '3.10'", "os.name == 'nt'", "'3.10' < python_version"]
)
def test_a_marker_that_no_lock_of_ours_has_is_refused(marker: str) -> None:
    with pytest.raises(InstallError) as refused:
        bundle.applies(marker, bundle.environment("3.10", "x86_64"))
    assert refused.value.code == "odd_marker"


def test_no_wheel_needs_a_newer_c_library_than_the_oldest_system_has() -> None:
    words = bundle.target("3.10", "aarch64")
    assert words[:4] == ["--implementation", "cp", "--python-version", "3.10"]
    assert words[-1] == "--platform=manylinux_2_31_aarch64"
    assert "--platform=manylinux2014_aarch64" in words


def test_the_sums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_bytes(b"wheel")
    bundle.write_sums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == f"{hashlib.sha256(b'wheel').hexdigest()}  wheels/a.whl\n"


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InstallError) as refused:
        bundle.make(tmp_path, None, None, "device", lambda step: None)
    assert (refused.value.code, sorted(tmp_path.iterdir())) == ("no_bundle", [tmp_path / "photos"])
