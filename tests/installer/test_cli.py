"""The verbs of the doors: what they show without changing anything, what they refuse and with which fix."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap
from installer import cli, plan, release, service


@pytest.fixture(autouse=True)
def system_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a checkout may stand in somebody's home."""
    monkeypatch.setattr(release, "check_python", lambda python: None)
    monkeypatch.setenv("RVM_LANG", "en")


@pytest.fixture(autouse=True)
def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one on a computer, and another test may hold it beside this one."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


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
    assert {f"/usr/local/lib/myrvm/{name}.py" for name in ("privileged", "disk_health")} <= set(written)
    assert "/etc/myrvm-privileged.json" in written
    enabled = [change["path"] for change in shown["changes"] if change["step"] == "enable"]
    assert "/etc/systemd/system/timers.target.wants/myrvm-disk-health.timer" in enabled
    assert not Path("/opt/myrvm").exists()


def test_the_hub_too_with_its_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    words = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--port", "443"]
    assert cli.main("run_hub.py", ["install", "--dry-run", *words]) == 0
    shown = capsys.readouterr().out
    assert "would: write /etc/myrvm-hub/tls/key.pem (0640, root:myrvm-hub)" in shown
    assert "would: start at boot: /etc/systemd/system/timers.target.wants/myrvm-hub-backup.timer" in shown


def test_a_dry_run_shows_what_is_started_where_systemd_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "runs", lambda: True)
    monkeypatch.setattr(service, "attempt", lambda *words, **_: subprocess.CompletedProcess(words, 3, "inactive\n"))
    file = machine_file(tmp_path, api_token="k" * 40)
    for given, restarts in (([], False), (["--config", str(file)], True)):
        assert cli.main("run_device.py", ["install", "--dry-run", *given]) == 0
        shown = capsys.readouterr().out
        assert "would: let systemd read its units again" in shown
        assert "would: start myrvm-privileged.socket" in shown
        assert ("would: restart myrvm-agent.service" in shown) is restarts
    assert cli.main("run_hub.py", ["install", "--dry-run"]) == 0
    assert "would: restart myrvm-hub.service" in capsys.readouterr().out


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


def test_wrong_usage_is_json_for_who_asked_for_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["install", "--bogus", "--json"]
    monkeypatch.setattr("sys.argv", ["run_hub.py", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main("run_hub.py", words)
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_refusals_are_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    assert cli.main("run_hub.py", ["install", "--dry-run", "--tls-cert", "cert.pem"]) == 2
    assert capsys.readouterr().err == (
        "Kesalahan: --tls-cert dan --tls-key harus diberikan bersama\nPerbaikan: berikan keduanya\n"
    )


@pytest.mark.parametrize(("language", "said"), [("en", "cannot be used"), ("id", "tidak dapat dipakai")])
def test_a_folder_that_cannot_be_made_is_named_without_a_traceback(
    language: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", language)
    (tmp_path / "file").write_text("")
    assert cli.main("run_hub.py", ["bundle", str(tmp_path / "file" / "bundle")]) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert str(tmp_path / "file") in shown


def test_a_reader_that_has_gone_is_no_folder_that_cannot_be_used() -> None:
    program = "import os, sys; from installer import cli, release; release.check_python = lambda _: None"
    program += "; os.geteuid = lambda: 1000"  # root's dry run would hold the lock of installations here
    program += "; sys.exit(cli.main('run_device.py', ['install', '--dry-run']))"
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-c", program]
    ended = subprocess.run(words, check=False, stdout=writing, stderr=subprocess.PIPE, cwd=bootstrap.ROOT)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_mistyped_flag_is_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    with pytest.raises(SystemExit):
        cli.main("run_device.py", ["install", "--dryrun"])
    assert "maksud Anda --dry-run, bukan --dryrun?" in capsys.readouterr().err


def test_only_root_installs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main("run_device.py", ["uninstall"]) == 4
    assert "Fix: sudo python3" in capsys.readouterr().err


def test_what_is_not_installed_is_removed_without_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("run_device.py", ["uninstall", "--dry-run"]) == 0
    assert "nothing was changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("door", "verb", "flag"),
    [
        ("run_device.py", "install", "--config"),
        ("run_device.py", "uninstall", "--purge"),
        ("run_hub.py", "bundle", "--circle"),
    ],
)
def test_the_doors_answer_before_there_is_an_environment(door: str, verb: str, flag: str, tmp_path: Path) -> None:
    """`-S`: without the packages of an environment; the folder that would be made stays away."""
    environ = {"PATH": "/usr/bin:/bin", "RVM_VENV": str(tmp_path / "venv"), "LANG": "C"}
    words = [sys.executable, "-S", str(plan.SOURCE / door), verb, "--help"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environ)
    assert (done.returncode, flag in done.stdout) == (0, True), done.stderr
    assert not (tmp_path / "venv").exists()


def test_an_old_python_gives_the_installation_to_a_newer_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python3.11").write_text("")
    (tmp_path / "python3.11").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gone_on: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: gone_on.append([program, *words]))
    for words in (["run_device.py", "install", "--dry-run"], ["run_device.py", "doctor"]):
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            bootstrap.refuse_old_python((3, 8, 10))
    newer = str(tmp_path / "python3.11")
    assert gone_on == [[newer, newer, "run_device.py", "install", "--dry-run"]]
