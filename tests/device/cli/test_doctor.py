"""Doctor against hubs in every condition: numbered checks, words, fixes, exit codes; no link is opened."""

from __future__ import annotations

import json
import os
import pwd
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from device.cli.main import main
from device.privileged import disk_health
from device.remote import service_user
from tests.device.trees import write
from tests.support.fake_hub import KEY
from tests.support.session_units import session_units
from tests.support.sick_hub import SickHub, examined
from tests.support.two_users import only_root, reachable_folder, visitor


@pytest.mark.parametrize(
    ("members", "word", "what"),
    [
        ({"backup_enabled": False}, "skip", "off"),
        ({"backup_sources": {"logs": {"path": "/var/none", "class": "logs"}}}, "warn", "read nothing"),
        (
            {"backup_sources": {"logs": {"path": "/var/none", "class": "logs"}, "etc": {"path": "/etc"}}},
            "warn", "/var/none",
        ),
        ({"backup_sources": {"etc": {"path": "/etc", "class": "configuration"}}}, "ok", "1 folder"),
    ],
)  # fmt: skip
def test_what_backups_would_read(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], members: dict[str, Any], word: str, what: str
) -> None:
    _, checks = examined(tmp_path, hub, capsys, **members)
    assert checks["backups"]["result"] == word
    assert what in checks["backups"]["what"]
    assert (checks["backups"]["fix"] is not None) == (word == "warn")


def test_a_healthy_machine(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = examined(tmp_path, hub, capsys, system_control=False)
    names = "config keys name port hub clock key socket spool backups paths privileges sessions sensors disks"
    assert list(checks) == names.split()
    others = {name: check["result"] for name, check in checks.items() if check["result"] != "ok"}
    own = {} if os.geteuid() == 0 else {"sessions": "warn"}
    assert others == {"privileges": "skip", "sensors": "fail", "disks": "skip", **own}
    assert code == 1, "the tree's processor counters stand still"


def test_how_worn_the_disks_are_and_what_is_missing_for_it(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "disks"
    write(root, {"proc/uptime": "700.0 1.0\n", "sys/block/nvme0n1/size": "1\n"})
    _, checks = examined(tmp_path, hub, capsys, sensor_root=str(root))
    assert checks["disks"]["result"] == "warn"
    assert "only root may read it" in checks["disks"]["what"]
    assert "systemctl enable --now myrvm-disk-health.timer" in checks["disks"]["fix"]
    (root / "run" / disk_health.FOLDER).mkdir(parents=True)
    noted = {"uptime_s": 690.0, "disks": {"nvme0": {"worn": 3}}}
    (root / "run" / disk_health.FOLDER / disk_health.FILE).write_text(json.dumps(noted))
    (root / "run" / disk_health.FOLDER / disk_health.FILE).chmod(0o644)
    _, checks = examined(tmp_path, hub, capsys, sensor_root=str(root))
    assert (checks["disks"]["result"], checks["disks"]["what"]) == ("ok", "nvme0: 3 % of its life used")


@pytest.mark.parametrize(
    ("paths", "check", "fix"),
    [
        ({"/api/v2/rvms/7": 401}, "key", "this is another hub"),
        ({"/api/v2/rvms/7": 404}, "key", "rvm_id"),
        ({"/ws/device": 200}, "socket", "/ws/device"),
        ({"/api/health": 404}, "hub", "myrvm_base_url"),
    ],
)
def test_each_trouble_is_named_with_its_fix(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], paths: dict[str, int], check: str, fix: str
) -> None:
    hub.paths |= paths
    code, checks = examined(tmp_path, hub, capsys)
    assert (code, checks[check]["result"]) == (1, "fail")
    assert fix in checks[check]["fix"]


@pytest.mark.parametrize(("ahead", "result"), [(0, "ok"), (60, "warn"), (-3600, "fail")])
def test_the_clock(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], ahead: int, result: str) -> None:
    hub.ahead = timedelta(seconds=ahead)
    assert examined(tmp_path, hub, capsys)[1]["clock"]["result"] == result


@only_root
def test_a_path_that_the_terminals_user_could_change(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]
) -> None:
    user = visitor()
    with reachable_folder(user.uid) as home:
        (home / "out").mkdir()
        (home / "camera").write_text("#!/bin/sh\n")
        code, checks = examined(
            tmp_path, hub, capsys, terminal_user=user.name, remote_download_folders=[str(home / "out")],
            remote_services={"5000": {"start": ["sh", str(home / "camera")]}},
        )  # fmt: skip
    assert code == 1, "the tree's processor counters stand still"
    assert checks["paths"]["result"] == "warn"
    assert f"{user.name} could change {home}, which is or leads to {home}/out" in checks["paths"]["what"]
    assert f"give {home} to root" in checks["paths"]["fix"]


@only_root
def test_folders_that_the_terminals_user_cannot_use_as_declared(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]
) -> None:
    user = visitor()
    with reachable_folder() as roots, reachable_folder(user.uid) as theirs:
        given = {"terminal_user": user.name, "remote_download_folders": [str(roots)]}
        _, checks = examined(tmp_path, hub, capsys, **given, remote_upload_folders=[str(theirs)])
        assert checks["folders"]["result"] == "ok"
        _, checks = examined(tmp_path, hub, capsys, **given, remote_upload_folders=[f"{roots}/"])
        assert checks["folders"]["result"] == "warn"
        assert checks["folders"]["what"] == f"{user.name} may not write into {roots}"
        roots.chmod(0o700)
        _, checks = examined(tmp_path, hub, capsys, **given)
        assert checks["folders"]["what"] == f"{roots}: the user of the machine's terminal may not do this there"
        theirs.rmdir()
        _, checks = examined(tmp_path, hub, capsys, terminal_user=user.name, remote_upload_folders=[str(theirs)])
        assert checks["folders"]["what"] == f"{theirs}: {theirs} is not on the machine"
        _, checks = examined(tmp_path, hub, capsys, terminal_user="root", remote_download_folders=[str(roots)])
        assert checks["folders"]["result"] == "fail"


def test_a_folder_nobody_can_write(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    _, checks = examined(tmp_path, hub, capsys, state_dir="taken")
    assert checks["spool"]["result"] == "fail"
    assert "state_dir" in checks["spool"]["fix"]


def test_a_file_others_can_read(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY}))
    file.chmod(0o644)
    main(["doctor", "--config", str(file)], {"RVM_LANG": "id"})
    out = capsys.readouterr().out
    assert "1. konfigurasi" in out
    assert f"perbaiki: chmod 600 {file}" in out


@only_root
def test_whose_terminals_are(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    _, checks = examined(tmp_path, hub, capsys, terminal_user="games")
    assert (checks["sessions"]["result"], "games" in checks["sessions"]["what"]) == ("ok", True)
    _, checks = examined(tmp_path, hub, capsys, terminal_user="nobody-of-that-name")
    assert (checks["sessions"]["result"], "terminal_user" in checks["sessions"]["what"]) == ("fail", True)


@only_root
def test_a_unit_is_started_to_see_whose_terminals_are(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_user, "SESSION_USER", "games")
    with session_units(pwd.getpwnam("games"), "root") as path:
        _, checks = examined(tmp_path, hub, capsys, session_socket=str(path))
        assert checks["sessions"]["what"] == "run as games, in units of their own"
    with session_units(pwd.getpwnam("nobody"), "root") as path:
        _, checks = examined(tmp_path, hub, capsys, session_socket=str(path))
        assert checks["sessions"]["result"] == "fail"
        assert "the unit runs as nobody and not as games" in checks["sessions"]["what"]
