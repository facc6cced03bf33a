"""The privileged daemon does what its file allows, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.privileged import daemon
from tests.support.privileged_daemon import (
    ACTIVATOR,
    ALLOWED,
    FILE,
    PrivilegedProcess,
    interpreters,
    privileged_process,
)
from tests.support.until import wait_until

DONE = {"ok": True}
OPTIONS = "nosuid,nodev,noexec"


@pytest.fixture
def service() -> Iterator[PrivilegedProcess]:
    with privileged_process() as made:
        made.start()
        yield made


@pytest.mark.parametrize(
    ("verb", "argument", "call"),
    [
        ("set-timezone", "Asia/Jakarta", "timedatectl --no-ask-password -- set-timezone Asia/Jakarta"),
        ("set-timezone", "Etc/GMT+8", "timedatectl --no-ask-password -- set-timezone Etc/GMT+8"),
        ("set-ntp", "on", "timedatectl --no-ask-password -- set-ntp true"),
        ("set-ntp", "off", "timedatectl --no-ask-password -- set-ntp false"),
        ("restart", "camera.service", "systemctl --no-ask-password -- restart camera.service"),
        ("stop", "camera.service", "systemctl --no-ask-password -- stop camera.service"),
        ("start", "panel.service", "systemctl --no-ask-password -- start panel.service"),
        ("reboot", None, "systemctl --no-ask-password -- reboot"),
        ("shutdown", None, "systemctl --no-ask-password -- poweroff"),
        (
            "mount", "usb",
            f"systemd-mount --collect --options={OPTIONS} --no-ask-password -- /dev/disk/by-label/RVM /media/rvm",
        ),
        ("unmount", "usb", "systemd-umount --no-ask-password -- /media/rvm"),
    ],
)  # fmt: skip
def test_each_verb_calls_one_program_with_fixed_words_and_no_environment(
    service: PrivilegedProcess, verb: str, argument: str | None, call: str
) -> None:
    assert service.ask(verb, argument, check=True) == DONE
    assert service.calls == []
    assert service.ask(verb, argument) == DONE
    assert service.calls == [call]
    assert set(service.environment) <= {"PWD", "SHLVL", "_", "OLDPWD"}, "a shell's own"
    what = f"{verb} {argument or ''}".strip()
    who = f"(user {os.geteuid()}, process {os.getpid()})"
    assert service.journal.splitlines() == [f"<5>would do: {what} {who}", f"<5>does: {what} {who}"]


def test_what_a_program_says_when_it_fails_is_the_answer(service: PrivilegedProcess) -> None:
    service.does("systemctl", "echo 'Unit camera.service not found.\tReally' >&2; exit 5")
    message = r"Unit camera.service not found.\tReally"
    assert service.ask("restart", "camera.service") == {"ok": False, "code": "failed", "message": message}
    service.does("systemctl", "exit 4")
    assert service.ask("reboot")["message"] == "it ended with 4"
    (service.programs / "timedatectl").unlink()
    assert service.ask("set-ntp", "on", check=True)["code"] == "missing"
    assert service.journal.count("<5>failed: ") == 2


def test_the_file_is_read_for_each_request(service: PrivilegedProcess) -> None:
    assert service.ask("restart", "camera.service", check=True) == DONE
    service.allow({**ALLOWED, "services": ["panel.service"]})
    assert service.ask("restart", "camera.service", check=True)["code"] == "not_allowed"
    service.allow({**ALLOWED, "verbs": ["reboot"]})
    assert service.ask("restart", "panel.service", check=True)["code"] == "not_allowed"
    assert service.ask("reboot", check=True) == DONE


@pytest.mark.skipif(not ACTIVATOR, reason="no systemd-socket-activate on this computer: install the package systemd")
def test_systemd_starts_it_when_somebody_asks() -> None:
    with privileged_process() as made:
        made.start_by_systemd()
        wait_until(made.socket.exists)
        assert made.ask("restart", "camera.service") == DONE
        assert made.calls == ["systemctl --no-ask-password -- restart camera.service"]


@pytest.mark.parametrize("python", interpreters(), ids=os.path.basename)
def test_other_interpreters_run_it_as_well(python: str) -> None:
    with privileged_process() as made:
        made.start(python)
        assert made.ask("set-timezone", "Asia/Makassar") == DONE
        assert made.ask("restart", "ssh.service")["code"] == "not_allowed"


def test_it_is_one_short_file_of_the_standard_library() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert not {"shlex", "ctypes", "socketserver", "http"} & imported


def test_by_hand_it_does_nothing() -> None:
    for environ in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}):
        done = subprocess.run(
            [sys.executable, "-I", str(FILE)], check=False, capture_output=True, text=True, timeout=60, env=environ
        )
        assert done.returncode == 1
        assert done.stderr == "<3>myrvm-privileged.socket starts this; it does nothing by hand\n"


def test_it_ends_when_nobody_asks_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd starts it again."""
    import socket

    monkeypatch.setattr(daemon, "IDLE_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        daemon.Daemon(listener, "/nowhere").serve()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("{", "Expecting"),
        ("[]", "TypeError|AttributeError|KeyError"),
        ("[" * 5000, "file"),
        ({"user": "x"}, "verbs"),
        ({**ALLOWED, "verbs": "reboot"}, "verbs"),
        ({**ALLOWED, "verbs": ["reboot", "rm"]}, "verbs"),
        ({**ALLOWED, "services": ["camera"]}, "services"),
        ({**ALLOWED, "services": ["../x.service"]}, "services"),
        ({**ALLOWED, "services": ["--host=evil.service"]}, "services"),
        ({**ALLOWED, "services": [["camera.service"]]}, "services"),
        ({**ALLOWED, "mounts": {"usb": {"device": "-o", "folder": "/media"}}}, "mounts"),
        ({**ALLOWED, "mounts": {"usb": {"device": "/dev/../x", "folder": "/media"}}}, "mounts"),
        ({**ALLOWED, "mounts": {"usb": {"device": "/dev/x"}}}, "folder"),
        ({**ALLOWED, "mounts": {"-o": {"device": "/dev/x", "folder": "/media"}}}, "mounts"),
        ({**ALLOWED, "more": 1}, "more is no key here"),
        ('{"user": "a", "user": "b", "verbs": []}', "twice"),
        (" " * daemon.MAX_FILE + json.dumps(ALLOWED), "Expecting value"),
        ({**ALLOWED, "user": "nobody-of-that-name"}, "only nobody-of-that-name may ask"),
    ],
)  # fmt: skip
def test_a_wrong_file_allows_nothing_and_says_why(
    service: PrivilegedProcess, written: dict[str, object] | str, why: str
) -> None:
    service.allow(written)
    if os.geteuid() == 0 and "only" in why:
        assert service.ask("reboot", check=True) == DONE, "root may always ask"
        return
    answer = service.ask("reboot", check=True)
    assert answer["code"] in ("file", "wrong_user")
    assert any(word in answer["message"] for word in why.split("|")) or why == "file", answer
    assert service.is_alive


def test_a_file_that_others_could_have_written_allows_nothing(service: PrivilegedProcess) -> None:
    file = service.allowed_file

    def refused() -> bool:
        answer = service.ask("reboot", check=True)
        return answer["ok"] is False and answer["code"] == "file"

    assert not refused()
    for mode in (0o646, 0o664):
        file.chmod(mode)
        assert refused(), oct(mode)
    file.chmod(0o644)
    service.folder.chmod(0o777)
    assert refused(), "its folder"
    service.folder.chmod(0o755)
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    assert refused(), "missing"
    file.symlink_to(elsewhere)
    assert refused(), "a link"
    file.unlink()
    os.mkfifo(file)
    assert refused(), "a pipe"
    file.unlink()
    file.mkdir()
    assert refused(), "a folder"
    file.rmdir()
    elsewhere.rename(file)
    assert not refused()
    if os.geteuid() == 0:
        os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)
        assert refused(), "somebody else's"


def test_a_file_below_a_link_allows_nothing(service: PrivilegedProcess, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(service.folder)
    with pytest.raises(daemon.VerbRefusedError, match="is a link"):
        daemon.read_allowed(str(tmp_path / "link" / "allowed.json"))


def test_the_installers_file_is_one_that_it_reads(service: PrivilegedProcess) -> None:
    from device.privileged.units import allowed_file

    written = json.loads(allowed_file(["camera", "panel.service", "camera.service"]))
    assert written["services"] == ["camera.service", "panel.service"]
    service.allow({**written, "user": ALLOWED["user"]})
    assert service.ask("restart", "panel.service", check=True) == DONE
    assert service.ask("mount", "usb", check=True)["code"] == "not_allowed"


def test_nothing_is_done_without_its_line_however_many_were_written(service: PrivilegedProcess) -> None:
    """A call that fails has two lines, so that they are used up before the requests are."""
    service.does("systemctl", "exit 1")
    codes = [service.ask("restart", "camera.service")["code"] for _ in range(30)]
    assert codes == ["failed"] * 30
    service.does("systemctl", "exit 0")
    assert service.ask("stop", "camera.service") == DONE
    assert "does: stop camera.service" in service.journal
