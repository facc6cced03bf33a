"""The verbs of the doors: what they show without changing anything, what they refuse and with which fix."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from installer import cli, release


@pytest.fixture(autouse=True)
def system_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a checkout may stand in somebody's home."""
    monkeypatch.setattr(release, "check_python", lambda: None)
    monkeypatch.setenv("RVM_LANG", "en")


def machine_file(folder: Path, **values: object) -> Path:
    path = folder / "machine.json"
    path.write_text(json.dumps({"rvm_id": "rvm-1", **values}))
    return path


def test_a_dry_run_shows_every_change_and_makes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "machine.key").write_text("k" * 40)
    file = machine_file(tmp_path, api_token="file:machine.key")
    assert cli.main("run_device.py", ["install", "--dry-run", "--config", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    steps = [change["step"] for change in shown["changes"]]
    assert shown["dry_run"] is True
    assert {"user", "release", "current", "unit", "enable"} <= set(steps)
    written = [change["path"] for change in shown["changes"] if change["step"] == "file"]
    assert written[:2] == ["/etc/myrvm/machine.key", "/etc/myrvm/machine.json"]
    assert {"/usr/local/lib/myrvm/privileged.py", "/etc/myrvm-privileged.json"} <= set(written)
    assert not Path("/opt/myrvm").exists()


def test_the_hub_too_with_its_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    words = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--port", "443"]
    assert cli.main("run_hub.py", ["install", "--dry-run", *words]) == 0
    shown = capsys.readouterr().out
    assert "would: write /etc/myrvm-hub/tls/key.pem (0640, root:myrvm-hub)" in shown
    assert "would: start at boot: /etc/systemd/system/timers.target.wants/myrvm-hub-backup.timer" in shown


@pytest.mark.parametrize(
    ("content", "code"),
    [("{", "no_machine_file"), ("[1]", "no_machine_file"), ('{"hub_ca": "/elsewhere/ca.pem"}', "far_file")],
)
def test_a_file_that_is_no_machines_file_is_refused_with_the_fix(
    content: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "machine.json"
    file.write_text(content)
    assert cli.main("run_device.py", ["install", "--dry-run", "--json", "--config", str(file)]) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == code
    assert error["hint"]


def test_refusals_are_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    assert cli.main("run_hub.py", ["install", "--dry-run", "--tls-cert", "cert.pem"]) == 2
    assert capsys.readouterr().err == (
        "Kesalahan: --tls-cert dan --tls-key harus diberikan bersama\nPerbaikan: berikan keduanya\n"
    )


def test_only_root_installs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main("run_device.py", ["uninstall"]) == 4
    assert "Fix: sudo python3" in capsys.readouterr().err


def test_what_is_not_installed_is_removed_without_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("run_device.py", ["uninstall", "--dry-run"]) == 0
    assert "nothing was changed" in capsys.readouterr().out
