"""What the privileged daemon refuses: all of it, living on, with nothing run."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.privileged import daemon
from tests.support.privileged_daemon import ALLOWED, PrivilegedProcess, answer_on, privileged_process
from tests.support.two_users import only_root

GOOD = b'{"verb": "reboot", "check": true}\n'
DEEP = b'{"verb":' + b"[" * 900 + b"]" * 900


@pytest.fixture
def service() -> Iterator[PrivilegedProcess]:
    with privileged_process() as made:
        made.start()
        yield made
        assert made.is_alive
        assert made.calls == [], "nothing was run"


def refused(service: PrivilegedProcess, line: bytes, *codes: str) -> None:
    answer = service.send(line)
    assert answer["ok"] is False, line
    assert answer["code"] in (codes or ("malformed", "not_allowed")), (line, answer)
    assert "\n" not in answer["message"]


VERBS = (
    "", " ", "reboot ", " reboot", "REBOOT", "Reboot", "poweroff", "halt", "kexec", "exec", "sh", "rm", "link",
    "enable", "edit",
    "reboot;reboot", "reboot --force", "restart camera.service", "-reboot", "--help", "--host=evil", "-Hroot@evil",
    "set-timezone\n", "reboot\x00", "../reboot", "/sbin/reboot", "reb\u0456ot", "check", "verb", "a" * 100,
)  # fmt: skip
SERVICES = (
    "", "camera", "camera.service ", " camera.service", "Camera.service", "camera.service panel.service",
    "camera.service,panel.service", "camera.service;reboot", "camera.service\x00", "camera.service\n", "camera.*", "*",
    "*.service", "camera.service --force", "--force", "--host=evil", "-Hroot@evil", "-H", "--root=/tmp", "--", "-",
    "ssh.service", "myrvm-privileged.service", "multi-user.target", "../camera.service",
    "/etc/systemd/system/camera.service",
    "./camera.service", "camera.service/", "$(reboot)", "`reboot`", "${IFS}", "%n.service", "camera@.service",
    "\\x63amera.service",
    "camera.service\r", "\u202ecamera.service", "c\u0430mera.service",
)  # fmt: skip
ZONES = (
    "", "Asia", "Asia/", "/Asia/Jakarta", "Asia/Jakarta/", "Asia//Jakarta", "Asia/Jakarta Asia/Tokyo",
    "Asia/Jakarta --host=evil",
    "--host=evil", "-Hroot@evil", "-H", "../../etc/passwd", "Asia/../Asia/Jakarta", "Asia/Jakarta\x00",
    "Asia/Jakarta\n",
    "Asia/Jakarta; reboot", "asia/jakarta", "Mars/Olympus", "zone.tab", "tzdata.zi", "posix/Asia/Jakarta",
    "right/Asia/Jakarta",
    "localtime", "posixrules", "/etc/localtime", "A" * 199, "Asia/Jakarta\u200b",
)  # fmt: skip
MOUNTS = (
    "", "usb ", "usb;", "USB", "/dev/sda1", "/dev/disk/by-label/RVM", "/media/rvm", "../usb", "usb/..", "-o",
    "--options=suid",
    "usb --options=suid", "--bind", "//evil/share", "evil:/share", "device", "usb\x00", "usb\n", "/proc/self/fd/3",
)  # fmt: skip


def line(verb: str, argument: str | None = None) -> bytes:
    return json.dumps({"verb": verb} | ({} if argument is None else {"argument": argument})).encode() + b"\n"


MATRIX = [
    *(line(verb) for verb in VERBS),
    *(line(verb, service) for verb in ("restart", "stop", "start") for service in SERVICES),
    *(line("set-timezone", zone) for zone in ZONES),
    *(line("set-ntp", word) for word in ("", "yes", "true", "1", "on ", "ON", "on off", "--host=evil", "on\x00")),
    *(line(verb, name) for verb in ("mount", "unmount") for name in MOUNTS),
    *(line(verb, word) for verb in ("reboot", "shutdown") for word in ("now", "--force", "-f", "--host=evil", " ")),
]  # fmt: skip
FRAMES = (
    b"\n", b" \n", b"reboot\n", b"reboot", b"null\n", b"true\n", b"1\n", b"NaN\n", b'"reboot"\n', b"[]\n", b"{}\n",
    b'["reboot"]\n', b'{"verb"}\n', b'{"verb": }\n', b'{"verb": null}\n', b'{"verb": 1}\n', b'{"verb": ["reboot"]}\n',
    b'{"verb": {"verb": "reboot"}}\n', b'{"verb": "reboot", "argument": null}\n',
    b'{"verb": "restart", "argument": ["camera.service"]}\n', b'{"verb": "restart", "argument": true}\n',
    b'{"verb": "restart", "argument": {"0": "camera.service"}}\n', b'{"verb": "reboot", "check": 0}\n',
    b'{"verb": "reboot", "check": "false"}\n', b'{"verb": "reboot", "check": null}\n',
    b'{"verb": "reboot", "user": "root"}\n', b'{"verb": "reboot", "environment": {"PATH": "/tmp"}}\n',
    b'{"check": true, "verb": "reboot", "check": false}\n', b'{"verb": "set-ntp", "verb": "reboot"}\n',
    b'{"verb": "reboot"}{"verb": "reboot"}\n', b'{"verb": "reboot"}\n{"verb": "reboot"}\n', b'{"verb": "reboot"}\n\n',
    b'{"verb": "reboot"}\r', b'\x00{"verb": "reboot"}\n', b'{"verb": "reboot"}\x00\n', b"\xff\xfe\n",
    b'{"verb": "rebo\xc3\xb6t"}\n', b'\xef\xbb\xbf{"verb": "reboot"}\n', b'{"verb": "reboot"', b"{'verb': 'reboot'}\n",
    b'{"verb": "reboot",}\n', b"[" * 900 + b"\n", b"[" * 450 + b"]" * 450 + b"\n", DEEP[:900] + b"\n",
    b'{"a":' * 150 + b"1" + b"}" * 150 + b"\n", b"x" * daemon.MAX_LINE + b"\n", b"x" * 100_000,
    b'{"verb": "reboot", "argument": "' + b"a" * 990 + b'"}\n', b'{"verb": "reboot"}' + b" " * daemon.MAX_LINE + b"\n",
)  # fmt: skip


@pytest.fixture
def patient() -> Iterator[PrivilegedProcess]:
    """A new one after each 30 refusals, as the rate limit would be the answer else."""
    with privileged_process() as made:
        yield made
        assert made.calls == [], "nothing was run"


def in_turns(service: PrivilegedProcess, lines: list[bytes]) -> None:
    for start in range(0, len(lines), 30):
        service.socket.unlink(missing_ok=True)
        service.start()
        for one in lines[start : start + 30]:
            refused(service, one)
        assert service.send(GOOD) == {"ok": True}
        assert service.is_alive
        service.stop()


def test_verbs_services_zones_and_devices_that_nobody_allowed(patient: PrivilegedProcess) -> None:
    in_turns(patient, MATRIX)


def test_bytes_that_are_no_request(patient: PrivilegedProcess) -> None:
    whole = [frame for frame in FRAMES if frame.endswith(b"\n") or len(frame) > daemon.MAX_LINE]
    in_turns(patient, whole)


def test_a_line_without_an_end(service: PrivilegedProcess) -> None:
    halves = [frame for frame in FRAMES if not frame.endswith(b"\n") and len(frame) <= daemon.MAX_LINE]
    assert len(halves) >= 3
    for half in halves:
        with service.connected() as connection:
            connection.sendall(half)
            connection.shutdown(socket.SHUT_WR)
            assert answer_on(connection)["code"] == "malformed"
    with service.connected() as connection:  # neither more nor an end
        connection.sendall(b'{"verb": "reboot"')
        assert answer_on(connection)["code"] == "malformed"
    with service.connected() as connection:  # gone before it is answered
        connection.sendall(b'{"verb"')
    assert service.send(GOOD) == {"ok": True}


def test_handles_that_come_with_a_request_are_not_kept(service: PrivilegedProcess) -> None:
    assert service.process is not None
    with service.connected() as connection, Path(os.devnull).open("rb") as file:
        socket.send_fds(connection, [b'{"verb": "shell"}\n'], [file.fileno()] * 8)
        assert answer_on(connection)["code"] == "not_allowed"
    open_handles = list(Path(f"/proc/{service.process.pid}/fd").iterdir())
    assert service.send(GOOD) == {"ok": True}
    assert len(open_handles) <= 5


def test_many_connections_that_ask_nothing_hold_up_no_more_than_a_moment_each(service: PrivilegedProcess) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(service.connected())
        assert service.send(GOOD) == {"ok": True}


def test_a_flood_is_refused_and_fills_no_journal(service: PrivilegedProcess) -> None:
    answers = [service.send(line("restart", "ssh.service")) for _ in range(300)]
    codes = [answer["code"] for answer in answers]
    assert codes[: int(daemon.BURST)] == ["not_allowed"] * int(daemon.BURST)
    assert codes.count("rate_limited") > 200
    assert len(service.journal.splitlines()) < 100
    assert service.send(line("reboot"))["code"] == "rate_limited", "what is allowed is refused then as well"


def test_a_file_that_is_exchanged_meanwhile(service: PrivilegedProcess) -> None:
    """Whatever it says at a moment: what no version of root's allows is never done."""
    wider = {**ALLOWED, "services": ["camera.service", "panel.service"]}
    narrower = {**ALLOWED, "services": []}
    stop = threading.Event()

    def exchange() -> None:
        elsewhere = service.folder / "elsewhere"
        elsewhere.write_text(json.dumps({**ALLOWED, "services": ["ssh.service"]}))
        elsewhere.chmod(0o666)  # anybody could have written it
        while not stop.is_set():
            service.allow(wider)
            link = service.folder / "link"
            link.symlink_to(elsewhere)
            link.replace(service.allowed_file)
            service.allow(narrower)
            service.allow("{")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(35):
            answer = service.send(line("restart", "ssh.service"))
            assert answer["code"] in ("not_allowed", "file"), answer
    finally:
        stop.set()
        thread.join()


_ASK_AS = """
import contextlib, os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[3])
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(sys.argv[4].encode() + b"\\n")
    print(connection.recv(4096).decode())
except OSError as error:
    print(type(error).__name__)
"""


def asked_as(user: pwd.struct_passwd, group: int, service: PrivilegedProcess) -> str:
    command = [sys.executable, "-I", "-S", "-c", _ASK_AS, str(user.pw_uid), str(group), str(service.socket)]
    done = subprocess.run([*command, '{"verb": "reboot"}'], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


@only_root
def test_who_may_ask_is_decided_by_the_kernel(service: PrivilegedProcess) -> None:
    """By the socket's rights, and where these are wrong by whom the kernel says to be there."""
    agent, other = pwd.getpwnam("daemon"), pwd.getpwnam("nobody")
    service.allow({**ALLOWED, "user": agent.pw_name, "verbs": []})
    os.chown(service.socket, 0, agent.pw_gid)
    service.socket.chmod(0o660)
    assert asked_as(other, other.pw_gid, service) == "PermissionError\n"
    assert "not_allowed" in asked_as(agent, agent.pw_gid, service)
    assert "wrong_user" in asked_as(other, agent.pw_gid, service), "in the group, and yet another user"
    service.socket.chmod(0o666)
    assert "wrong_user" in asked_as(other, other.pw_gid, service)
    assert service.journal.count("wrong_user") == 2
    assert f"user {other.pw_uid}, process " in service.journal


def test_the_matrix_is_a_large_one() -> None:
    assert len(MATRIX) + len(FRAMES) > 250
