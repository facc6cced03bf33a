"""The units beside the agent under a real systemd: `TEST_INSTALL_ROOT` names a root that debootstrap made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.privileged import disk_health, units
from tests.device.agent_process import ROOT
from tests.support.booted_root import BootedRoot, booted_root, missing
from tests.support.until import wait_until

LOWER = os.environ.get("TEST_INSTALL_ROOT", "")
pytestmark = [
    pytest.mark.timeout(600),
]
CODE = "/opt/code"
AS_AGENT = ("setpriv", "--reuid=myrvm-service", "--regid=myrvm-service", "--clear-groups")
ASK = """
import json, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.argv[2].encode() + b"\\n")
print(connection.recv(4096).decode())
"""


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedRoot]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}")
    seen = tmp_path_factory.mktemp("seen")
    for room in ("device", "protocol"):
        shutil.copytree(ROOT / room, seen / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in units.rendered(python="/usr/bin/python3", code=CODE).items():
        (seen / name).write_text(text)
    (seen / "allowed.json").write_text(units.allowed_file(["camera"]))
    (seen / "camera.service").write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    with booted_root(Path(LOWER), seen) as root:
        for line in (
            "useradd --system --user-group --no-create-home myrvm-service",
            "useradd --system --user-group --create-home --home-dir /var/lib/myrvm-session myrvm-session",
            f"mkdir {CODE} && cp -r /bundle/device /bundle/protocol {CODE}/ && cp /bundle/*.[st]* /etc/systemd/system/",
            f"install -D -m 0755 /bundle/device/privileged/daemon.py {units.PRIVILEGED_FILE}",
            f"install -m 0755 /bundle/device/privileged/disk_health.py {units.DISK_HEALTH_FILE}",
            f"install -m 0644 /bundle/allowed.json {units.ALLOWED_FILE}",
            "install -d -m 0700 -o myrvm-service /var/lib/myrvm && install -d -m 0750 /etc/myrvm",
            "install -m 0600 -o myrvm-service /dev/null /var/lib/myrvm/key && echo secret > /var/lib/myrvm/key",
            "systemctl daemon-reload && systemctl enable --now myrvm-privileged.socket myrvm-session.socket",
            "systemctl enable --now myrvm-disk-health.timer",
        ):
            root.answer("sh", "-c", line)
        yield root


def asked(computer: BootedRoot, verb: str, argument: str = "") -> dict[str, object]:
    line = json.dumps({"verb": verb, "argument": argument})
    answer: dict[str, object] = json.loads(
        computer.answer(*AS_AGENT, "python3", "-c", ASK, units.PRIVILEGED_SOCKET, line)
    )
    return answer


def test_the_agents_user_has_the_zone_set_and_a_service_restarted_and_no_other(computer: BootedRoot) -> None:
    assert asked(computer, "set-timezone", "Asia/Makassar") == {"ok": True}
    assert computer.answer("readlink", "/etc/localtime").endswith("zoneinfo/Asia/Makassar")
    assert asked(computer, "restart", "camera.service") == {"ok": True}
    assert computer.shown("camera.service", "ActiveState") == "active"
    assert asked(computer, "restart", "dbus.service")["code"] == "not_allowed"
    journal = computer.answer("journalctl", "-t", "myrvm-privileged", "-o", "cat", "--no-pager")
    assert [line.partition(" (")[0] for line in journal.splitlines()] == [
        "does: set-timezone Asia/Makassar", "does: restart camera.service", "refused: restart dbus.service",
    ]  # fmt: skip
    other = ("setpriv", "--reuid=myrvm-session", "--regid=myrvm-session", "--clear-groups")
    done = computer.run(*other, "python3", "-c", ASK, units.PRIVILEGED_SOCKET, '{"verb": "reboot"}')
    assert "PermissionError" in done.stderr


def test_the_timer_writes_down_the_disks_for_the_agents_user_and_only_that(computer: BootedRoot) -> None:
    """This computer has none: what is shown is that the unit starts with what it may, and ends well."""
    file = f"/run/{disk_health.FOLDER}/{disk_health.FILE}"
    wait_until(lambda: computer.run("test", "-e", file).returncode == 0, within=60)
    assert computer.shown("myrvm-disk-health.service", "Result") == "success"
    assert computer.answer("stat", "-c", "%a %U", file) == "644 root"
    assert json.loads(computer.answer(*AS_AGENT, "cat", file))["disks"] == {}
    computer.answer("systemctl", "restart", "myrvm-disk-health.service")
    assert computer.answer("ls", "-A", f"/run/{disk_health.FOLDER}") == disk_health.FILE
    assert "starts this" in computer.run("python3", units.DISK_HEALTH_FILE).stderr
