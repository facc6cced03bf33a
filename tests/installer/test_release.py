"""What a release is made of, what its name follows from, and which ones are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device.cli import enrol_verb, exit_codes
from installer import plan, release
from installer.plan import AGENT, HUB
from installer.release import MARK, Release
from installer.steps import InstallError
from tests.installer.small_checkout import small_checkout
from tests.support.import_laws import ROOMS


def test_a_code_brings_the_file_to_where_the_installed_agent_reads_it() -> None:
    assert AGENT.settings / "machine.json" == enrol_verb.INSTALLED
    path_unit = plan.units_of(AGENT)["myrvm-agent.path"]
    assert f"PathChanged={enrol_verb.INSTALLED.parent}\n" in path_unit


def test_systemd_does_not_start_again_what_a_person_has_to_mend() -> None:
    unit = plan.units_of(AGENT)["myrvm-agent.service"]
    assert f"\nRestartPreventExitStatus={exit_codes.BAD_CONFIGURATION}\n" in unit


@pytest.mark.parametrize(("product", "rooms"), [(AGENT, ("run_device", "device")), (HUB, ("run_hub", "hub", "device"))])
def test_a_release_has_every_room_that_its_process_imports(product: plan.Product, rooms: tuple[str, ...]) -> None:
    wanted = {other for room in (*rooms, "installer") for other in ROOMS[room]} - {"demo"}  # of a checkout alone
    assert wanted <= {part.removesuffix(".py") for part in product.parts}
    assert all((plan.SOURCE / part).exists() for part in product.parts)


@pytest.mark.parametrize(("version", "steps"), [("245", 0), ("249", 0), ("252", 0), ("254", 2), ("257", 2)])
def test_restarts_slow_down_where_this_computers_systemd_can(
    version: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "systemd {version} ({version}.4-4ubuntu3)"\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for product, unit in ((AGENT, "myrvm-agent.service"), (HUB, "myrvm-hub.service")):
        lines = plan.units_of(product)[unit].splitlines()
        assert "Restart=always" in lines
        assert len([line for line in lines if line.startswith(("RestartSteps=", "RestartMaxDelaySec="))]) == steps
        assert ("RestartSec=2" if steps else "RestartSec=5") in lines


@pytest.mark.parametrize(("version", "known"), [("245", False), ("247", True), ("252", True)])
def test_a_unit_has_nothing_that_this_computers_systemd_does_not_know(
    version: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "systemd {version} ({version}.4-4ubuntu3)"\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for product in (AGENT, HUB):
        text = "".join(plan.units_of(product).values())
        assert ("\nProtectProc=" in text) == known
        assert ("\nProcSubset=" in text) == (known and product is AGENT)
        assert "\nProtectKernelLogs=yes\n" in text
        assert ("\nRestrictAddressFamilies=none" in text) == (version == "252" and product is AGENT)
        assert "\nRestrictAddressFamilies=AF_UNIX" in text


def release_of(checkout: Path, **units: str) -> Release:
    return Release(checkout / "opt", checkout, "device", AGENT.parts, units, None, release.base_python())


def test_its_name_follows_from_what_goes_in_and_from_nothing_else(tmp_path: Path) -> None:
    checkout = small_checkout(tmp_path)
    first = release_of(checkout).name
    (checkout / "device" / "__pycache__").mkdir()
    (checkout / "device" / "__pycache__" / "x.pyc").touch()
    (checkout / "notes.txt").touch()
    assert release_of(checkout).name == first
    assert release_of(checkout, unit="[Unit]").name != first
    (checkout / "device" / "__init__.py").write_text('"""Other."""\n')
    assert release_of(checkout).name != first


def test_the_one_to_go_back_to_is_kept_and_what_was_begun_is_not(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "former", "old", "older")):
        folder = tmp_path / "releases" / name
        folder.mkdir(parents=True)
        (folder / MARK).touch()
        os.utime(folder / MARK, (1000 - age, 1000 - age))
    (tmp_path / "releases" / "begun").mkdir()
    (tmp_path / "current").symlink_to("releases/new")
    assert (release.current(tmp_path), release.former(tmp_path, "new")) == ("new", "former")
    step = release.retire(tmp_path, "new")
    assert not step.is_done()
    step.do()
    assert step.is_done()
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["former", "new"]
    assert release.former(tmp_path / "nowhere", "new") == ""


def test_a_python_in_somebodys_home_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "bin").mkdir()
    with pytest.raises(InstallError) as refused:
        release.check_python(str(tmp_path / "bin" / "python3"))
    assert (refused.value.code, refused.value.values["folder"]) == ("python_closed", tmp_path)
