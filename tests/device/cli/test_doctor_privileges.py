"""`doctor` proves each thing that needs root, without doing it: by which way, whether now, and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.cli import privileges
from device.cli.main import main
from tests.support.fake_hub import KEY
from tests.support.privileged_daemon import ALLOWED, PrivilegedProcess, privileged_process
from tests.support.sick_hub import SickHub, examined
from tests.support.system_bus import PrivateBus, needs_bus

VERBS = (
    "reboot", "set-timezone Etc/UTC", "restart camera.service", "restart panel.service", "stop camera.service",
    "start camera.service", "set-ntp on", "shutdown", "mount usb", "unmount usb",
)  # fmt: skip
SERVICES = {"services": ["camera", "panel.service"], "backup_services": ["camera"]}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivilegedProcess]:
    with privileged_process() as made:
        made.start()
        monkeypatch.setattr(privileges, "ALLOWED_FILE", str(made.allowed_file))
        yield made


@pytest.fixture
def as_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the user that the installer makes: services ask polkit about it."""
    monkeypatch.setattr(privileges, "is_root", lambda: False)


def proofs(checks: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Result and way by verb."""
    return {check["verb"]: (check["result"], check["way"]) for check in checks.values() if "verb" in check}


@pytest.mark.usefixtures("no_bus")
def test_each_thing_that_needs_root_is_proven_without_doing_it(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], service: PrivilegedProcess
) -> None:
    _, checks = examined(tmp_path, hub, capsys, privileged_socket=str(service.socket), **SERVICES)
    assert proofs(checks) == dict.fromkeys(VERBS, ("ok", "service"))
    assert "D-Bus has no such service" in checks["privileges reboot"]["what"]
    assert service.calls == []
    assert service.journal.count("would do") == len(VERBS)


@needs_bus
@pytest.mark.usefixtures("as_agent")
def test_each_verb_is_asked_of_the_bus_first_and_then_of_the_service(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], service: PrivilegedProcess, bus: PrivateBus
) -> None:
    given = {"privileged_socket": str(service.socket), **SERVICES}
    assert proofs(examined(tmp_path, hub, capsys, **given)[1]) == dict.fromkeys(VERBS, ("ok", "bus"))
    assert not service.journal
    bus.permits(manage_units="deny", set_ntp="ask", CanPowerOff="deny")
    _, checks = examined(tmp_path, hub, capsys, **given)
    by_bus = ("reboot", "set-timezone Etc/UTC")
    assert proofs(checks) == {verb: ("ok", "bus" if verb in by_bus else "service") for verb in VERBS}
    assert checks["privileges set-ntp on"]["what"].endswith("by the privileged service (D-Bus wants a password)")
    assert "D-Bus does not permit it" in checks["privileges restart camera.service"]["what"]
    service.allow({**ALLOWED, "services": ["panel.service"], "verbs": ["restart"]})
    _, checks = examined(tmp_path, hub, capsys, **given)
    assert proofs(checks) == {
        **dict.fromkeys(by_bus, ("ok", "bus")),
        "restart panel.service": ("ok", "service"),
        **dict.fromkeys(("restart camera.service", "stop camera.service", "start camera.service"), ("warn", "none")),
        # The agent needs none of these, and root may have left them out.
        **dict.fromkeys(("set-ntp on", "shutdown", "mount usb", "unmount usb"), ("skip", "none")),
    }
    assert "add it to" in checks["privileges restart camera.service"]["fix"]
    assert (bus.calls, service.calls) == ([], [])


@needs_bus
@pytest.mark.usefixtures("as_agent")
def test_a_bus_that_is_silent_holds_nobody_up_for_each_verb(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "LOOK_S", 0.2)
    bus.mood = "hang"
    _, checks = examined(tmp_path, hub, capsys, privileged_socket=str(tmp_path / "none"), **SERVICES)
    assert "D-Bus does not answer" in checks["privileges reboot"]["what"]
    assert proofs(checks)["reboot"] == ("warn", "none")


@pytest.mark.parametrize(
    ("allowed", "what", "fix"),
    [
        ({"verbs": ["reboot", "set-timezone"]}, "restart is not among the allowed verbs", "add it to "),
        ({"services": []}, "camera.service is not among the allowed services", "add it to "),
        ({"more": 1}, "more is no key here", "as root, correct "),
    ],
)
@pytest.mark.usefixtures("no_bus")
def test_what_the_privileged_service_would_refuse_has_its_fix(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], service: PrivilegedProcess,
    allowed: dict[str, Any], what: str, fix: str,
) -> None:  # fmt: skip
    service.allow({**ALLOWED, **allowed})
    _, checks = examined(tmp_path, hub, capsys, privileged_socket=str(service.socket), services=["camera"])
    check = checks["privileges restart camera.service"]
    assert check["result"] == "warn"
    assert what in check["what"]
    assert fix + str(service.allowed_file) in check["fix"]


@pytest.mark.usefixtures("no_bus")
def test_where_nobody_does_it(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    _, checks = examined(tmp_path, hub, capsys, privileged_socket=str(tmp_path / "none"))
    assert proofs(checks)["reboot"] == ("warn", "none")
    assert proofs(checks)["shutdown"] == ("skip", "none")
    assert "myrvm-privileged.socket" in checks["privileges reboot"]["fix"]
    _, checks = examined(tmp_path, hub, capsys, system_control=False)
    assert checks["privileges"]["result"] == "skip"
    assert proofs(checks) == {}


@pytest.mark.usefixtures("no_bus")
def test_in_indonesian(tmp_path: Path, capsys: pytest.CaptureFixture[str], service: PrivilegedProcess) -> None:
    file = tmp_path / "machine.json"
    given = {"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY, "privileged_socket": str(service.socket)}
    file.write_text(json.dumps(given))
    main(["doctor", "--config", str(file)], {"RVM_LANG": "id"})
    out = capsys.readouterr().out
    assert "reboot: lewat layanan berhak root (D-Bus tidak punya layanan itu)" in out
