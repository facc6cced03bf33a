"""Hub and agent installed from a bundle, without a network, under a real systemd: a proof of some minutes.

debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3,tzdata bookworm ROOT
python3 run_hub.py bundle BUNDLE --circle hub
TEST_INSTALL_ROOT=ROOT TEST_INSTALL_BUNDLE=BUNDLE python3 run_tests.py -- tests/installer/test_booted.py -s
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from hub.model.dating import UTC
from tests.support.booted_root import BootedRoot, booted_root, missing
from tests.support.until import wait_until

ROOT, BUNDLE = os.environ.get("TEST_INSTALL_ROOT", ""), os.environ.get("TEST_INSTALL_BUNDLE", "")
pytestmark = [
    pytest.mark.timeout(1500),
]
AGENT, HUB = "myrvm-agent.service", "myrvm-hub.service"
BAR_SECURITY = 2.0
BAR_WATCHDOG_S = 35.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One as it is, one with another text, one whose agent does not start."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("first", "second", "broken"):
        shutil.copytree(BUNDLE, folder / name, copy_function=os.link)
    for name, line in (("second", "# newer\n"), ("broken", "raise SystemExit('broken on purpose')\n")):
        file = folder / name / "device" / "__main__.py"
        text = file.read_text()
        file.unlink()
        file.write_text(line + text)
    return folder


@pytest.fixture(scope="module")
def computer(bundles: Path) -> Iterator[BootedRoot]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}")
    with booted_root(Path(ROOT), bundles) as root:
        yield root


def installed(computer: BootedRoot, door: str, bundle: str, *words: str) -> tuple[int, str]:
    began = time.monotonic()
    done = computer.run("python3", f"/bundle/{bundle}/{door}", *words)
    print(f"{door} {' '.join(words)} ({bundle}): {time.monotonic() - began:.1f} s, exit {done.returncode}")
    return done.returncode, done.stdout + done.stderr


def last_seen(computer: BootedRoot) -> str:
    listed = json.loads(computer.answer("myrvm-hub", "machine", "list", "--json"))
    return str(listed["machines"][0]["last_seen_at"])


def test_a_hub_and_its_machine(computer: BootedRoot) -> None:
    code, said = installed(computer, "run_hub.py", "first", "install")
    assert code == 0, said
    assert computer.shown(HUB, "ActiveState") == "active"
    added = json.loads(computer.answer("myrvm-hub", "machine", "add", "RVM 1", "--device-id", "rvm-1", "--json"))
    code, said = installed(computer, "run_device.py", "first", "install")
    assert (code, "enrol" in said) == (0, True), said
    assert computer.shown(AGENT, "ActiveState") == "inactive"
    file = {"myrvm_base_url": "http://127.0.0.1:8001", "rvm_id": "rvm-1", "api_token": added["api_key"]}
    (computer.path / "root" / "machine.json").write_text(json.dumps(file))
    code, said = installed(computer, "run_device.py", "first", "install", "--config", "/root/machine.json")
    assert code == 0, said
    assert computer.shown(AGENT, "ActiveState") == "active"
    wait_until(lambda: last_seen(computer) != "None", within=60)
    assert computer.answer("stat", "-c", "%a %U %G", "/etc/myrvm/machine.json") == "600 myrvm-service myrvm-service"
    for door in ("run_hub.py", "run_device.py"):
        code, said = installed(computer, door, "first", "install")
        assert (code, "nothing was changed" in said) == (0, True), said


def test_a_changed_setting_restarts_the_hub(computer: BootedRoot) -> None:
    first = computer.shown(HUB, "MainPID")
    for changes in (True, False):
        code, said = installed(computer, "run_hub.py", "first", "install", "--admin-email", "sari@example.com")
        assert (code, "nothing was changed" in said) == (0, not changes), said
        assert (computer.shown(HUB, "ActiveState"), computer.shown(HUB, "MainPID") != first) == ("active", True)


def test_the_helper_answers_the_agents_user_and_nobody_else(computer: BootedRoot) -> None:
    ask = """import socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/myrvm-privileged.sock")
s.sendall(b'{"verb": "set-timezone", "argument": "Asia/Jakarta", "check": true}\\n'); print(s.recv(1000).decode())"""
    as_user = ("setpriv", "--reuid=myrvm-service", "--regid=myrvm-service", "--clear-groups")
    assert json.loads(computer.answer(*as_user, "python3", "-c", ask))["ok"] is True
    refused = computer.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "python3", "-c", ask)
    assert "PermissionError" in refused.stderr


def test_doctor_as_the_services_user(computer: BootedRoot) -> None:
    shown = json.loads(computer.run("myrvm-agent", "doctor", "--json").stdout)
    print([check["check"] + ": " + check["result"] for check in shown["checks"]])
    words = {check["check"]: check["result"] for check in shown["checks"]}
    assert {words[name] for name in ("config", "hub", "key", "socket", "spool")} == {"ok"}, shown


@pytest.mark.parametrize("unit", [AGENT, HUB])
def test_its_exposure(computer: BootedRoot, unit: str) -> None:
    shown = computer.answer("systemd-analyze", "security", "--no-pager", unit)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", shown)
    assert score is not None
    print(f"{unit}: {score[1]}")
    assert float(score[1]) <= BAR_SECURITY, shown
    assert "myrvm" not in computer.run("systemd-analyze", "verify", f"/etc/systemd/system/{unit}").stderr


def test_a_restart_and_a_loop_that_stands_still(computer: BootedRoot) -> None:
    before = last_seen(computer)
    wait_until(lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" > before)  # whole seconds: the restart may take less
    computer.answer("systemctl", "restart", AGENT)
    wait_until(lambda: last_seen(computer) > before, within=60)
    first = computer.shown(AGENT, "MainPID")
    began = time.monotonic()
    computer.answer("sh", "-c", f"kill -STOP {first}")
    wait_until(lambda: computer.shown(AGENT, "MainPID") not in (first, "0"), within=90)
    took = time.monotonic() - began
    print(f"stopped process restarted after {took:.1f} s")
    assert took < BAR_WATCHDOG_S + 10, "systemd's RestartSec, and a busy computer"
    wait_until(lambda: computer.shown(AGENT, "ActiveState") == "active", within=60)


def test_an_upgrade_and_one_that_does_not_start(computer: BootedRoot) -> None:
    former = computer.answer("readlink", "/opt/myrvm/current")
    code, said = installed(computer, "run_device.py", "second", "install")
    newer = computer.answer("readlink", "/opt/myrvm/current")
    assert (code, newer != former) == (0, True), said
    assert computer.shown(AGENT, "ActiveState") == "active"
    code, said = installed(computer, "run_device.py", "broken", "install")
    assert (code, "broken on purpose" in said) == (1, True), said
    assert computer.answer("readlink", "/opt/myrvm/current") == newer
    assert computer.shown(AGENT, "ActiveState") == "active"
    kept = computer.answer("ls", "/opt/myrvm/releases").split()
    assert sorted(kept) == sorted(name.removeprefix("releases/") for name in (former, newer))


def test_the_nightly_backup(computer: BootedRoot) -> None:
    computer.answer("systemctl", "start", "myrvm-hub-backup.service")
    (made,) = (computer.path / "var/backups/myrvm-hub").iterdir()
    assert re.fullmatch(r"hub-\d{8}-\d{6}\.tar", made.name)
    assert computer.shown("myrvm-hub-backup.timer", "ActiveState") == "active"


def test_a_machines_file_that_comes_later_starts_the_agent(computer: BootedRoot) -> None:
    computer.answer("systemctl", "stop", AGENT)
    computer.answer("sh", "-c", "cd /etc/myrvm && cp -p machine.json .new && mv .new machine.json")
    wait_until(lambda: computer.shown(AGENT, "ActiveState") == "active", within=60)


def test_a_broken_file_stops_the_agent_until_somebody_mends_it(computer: BootedRoot) -> None:
    computer.answer("sh", "-c", "cd /etc/myrvm && cp -p machine.json /root/good.json && echo '{' > machine.json")
    computer.run("systemctl", "restart", AGENT)
    wait_until(lambda: computer.shown(AGENT, "ActiveState") == "failed", within=60)
    assert computer.shown(AGENT, "ExecMainStatus") == "3"
    assert computer.shown(AGENT, "NRestarts") == "0"
    journal = computer.answer("journalctl", "-u", AGENT, "-o", "cat", "-n", "10", "--no-pager")
    assert "machine.json" in journal
    computer.answer("sh", "-c", "cat /root/good.json > /etc/myrvm/machine.json")
    wait_until(lambda: computer.shown(AGENT, "ActiveState") == "active", within=60)


def test_nothing_is_left_of_both(computer: BootedRoot) -> None:
    code, said = installed(computer, "run_device.py", "second", "uninstall")
    assert (code, "/etc/myrvm, /var/lib/myrvm" in said) == (0, True), said
    for door in ("run_device.py", "run_hub.py"):
        code, said = installed(computer, door, "second", "uninstall", "--purge")
        assert code == 0, said
    left = computer.answer("find", "/", "-xdev", "-name", "*myrvm*", "-not", "-path", "/proc/*").splitlines()
    assert [path for path in left if not path.startswith(("/var/backups", "/run", "/sys"))] == []
    assert "myrvm" not in (computer.path / "etc/passwd").read_text()
    listed = computer.answer("systemctl", "list-units", "--all", "--no-legend", "myrvm*").splitlines()
    assert [line for line in listed if " not-found inactive dead " not in line] == [], "what has run is known a while"
