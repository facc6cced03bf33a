"""Terminals and files of a session, run for an agent by units of systemd as another user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from device.remote.rules.folders import PathRefusedError, Pin
from device.remote.service_user import NoUserError, ServiceUser, choose
from device.remote.session import unit_client
from device.remote.session.file_process import FileProcess
from device.remote.session.pty_process import PtyProcess
from device.remote.session.unit_client import connected, terminal_in_unit
from tests.support.session_units import UNIT, others_python, session_units, session_user
from tests.support.two_users import only_root, reachable_folder
from tests.support.until import until, wait_until

pytestmark = only_root
GAMES, NOBODY = pwd.getpwnam("games"), pwd.getpwnam("nobody")
STUBBORN = """
import os, signal, sys, time
for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
    signal.signal(one, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
while True:
    time.sleep(60)
"""
"""A daemon in a session of its own whose parents have gone."""


@pytest.fixture
def user() -> Iterator[ServiceUser]:
    with session_units(GAMES, "root") as path:
        yield session_user(GAMES, path)


@pytest.fixture
def home() -> Iterator[Path]:
    with reachable_folder(GAMES.pw_uid) as folder:
        yield folder


@contextlib.asynccontextmanager
async def terminal(user: ServiceUser, *argv: str) -> AsyncIterator[PtyProcess]:
    made = await terminal_in_unit(argv, user, "xterm", "", (97, 31))
    try:
        yield made
    finally:
        await made.end()


async def shown(of: PtyProcess) -> str:
    """All that it shows until it ends."""
    seen = b""
    while data := await asyncio.wait_for(of.read(), 60):
        seen += data
    return seen.decode().replace("\r\n", "\n")


def lives(file: Path) -> bool:
    pid = file.read_text()
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_terminal_is_another_users_with_its_own_environment_and_size(user: ServiceUser) -> None:
    assert (user.name, user.drop, user.is_other) == ("games", False, True)
    async with terminal(user, "/bin/sh", "-c", "id -un; id -G; stty size; tty; env | sort; exit 7") as made:
        lines = (await shown(made)).splitlines()
        await until(lambda: made.code is not None)
        assert made.code == 7
    assert lines[:3] == ["games", str(GAMES.pw_gid), "31 97"]
    assert lines[3].startswith("/dev/pts/")
    names = {line.partition("=")[0] for line in lines[4:]}
    assert names <= {"HOME", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "USER", "_"}


async def test_keys_go_in_and_a_new_size_as_well(user: ServiceUser) -> None:
    async with terminal(user, "/bin/sh") as made:
        made.resize(50, 20)
        await made.write(b"stty size; exit\n")
        assert "20 50" in await shown(made)


async def test_what_the_agent_alone_may_read_stays_the_agents(user: ServiceUser, tmp_path: Path) -> None:
    with reachable_folder() as folder:
        key = folder / "machine.key"
        key.write_text("rvmk-secret")
        key.chmod(0o600)
        environ = f"/proc/{os.getpid()}/environ"
        async with terminal(user, "/bin/sh", "-c", f"cat {key} {environ}; echo did; cat /proc/self/status") as made:
            told = await shown(made)
    assert "did" in told
    assert "rvmk-secret" not in told
    assert told.count("Permission denied") == 2
    assert "CapEff:\t0000000000000000" in told


@pytest.mark.parametrize("how", ["ends", "is hung up", "is cut off"])
async def test_nothing_of_a_terminal_outlives_it(user: ServiceUser, home: Path, how: str) -> None:
    noted = home / "pid"
    script = home / "stubborn.py"
    script.write_text(STUBBORN)
    script.chmod(0o755)
    wait = "" if how == "ends" else "; cat"
    line = f"{others_python(GAMES)} {script} {noted}; while ! [ -s {noted} ]; do :; done; echo there{wait}"
    made = await terminal_in_unit(("/bin/sh", "-c", line), user, "xterm", "", (80, 24))
    seen = b""
    while b"there" not in seen:
        seen += await asyncio.wait_for(made.read(), 60)
    if how == "ends":
        await until(lambda: made.code is not None)
        await until(lambda: not lives(noted))
    elif how == "is cut off":  # as when the agent is killed
        made._process._connection.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        await until(lambda: not lives(noted))
    await made.end()
    assert not lives(noted), "when the end is reported nothing is left"


async def test_a_shell_may_tidy_up_when_it_is_hung_up(user: ServiceUser) -> None:
    command = ("/bin/sh", "-c", "trap 'exit 7' HUP; echo ready; while :; do read line || :; done")
    made = await terminal_in_unit(command, user, "xterm", "", (80, 24))
    seen = b""
    while b"ready" not in seen:
        seen += await asyncio.wait_for(made.read(), 60)
    await made.end()
    assert made.code == 7


async def test_a_command_that_is_none(user: ServiceUser) -> None:
    async with terminal(user, "/no/such/command") as made:
        await shown(made)
        await until(lambda: made.code == 127)


def test_files_are_opened_with_that_users_rights(user: ServiceUser, home: Path) -> None:
    (home / "log").write_text("the belt stopped")
    (home / "shadow").write_text("root's")
    (home / "shadow").chmod(0o600)
    facts = home.stat()
    pin = Pin(str(home), facts.st_dev, facts.st_ino)
    process = FileProcess(user)
    try:
        assert process.is_alive()
        assert process.pid == 0
        entries = process.call("list", pin=pin, parts=[])[0]["entries"]
        assert [entry["name"] for entry in entries] == ["log", "shadow"]
        _, handle = process.call("get", pin=pin, parts=["log"], limit=100)
        assert handle is not None
        assert os.read(handle, 100) == b"the belt stopped"
        os.close(handle)
        with pytest.raises(PathRefusedError) as refused:
            process.call("get", pin=pin, parts=["shadow"], limit=100)
        assert refused.value.code == "no_rights"
        _, handle = process.call("put", pin=pin, parts=["new"], of="1", size=3, overwrite=False)
        assert handle is not None
        os.write(handle, b"abc")
        os.close(handle)
        process.call("keep", of="1")
        assert ((home / "new").read_text(), (home / "new").stat().st_uid) == ("abc", GAMES.pw_uid)
        assert process.is_alive()
    finally:
        process.end()


def test_a_unit_that_has_gone_is_noticed(user: ServiceUser) -> None:
    process = FileProcess(user)
    for one in psutil.process_iter(["username", "cmdline"]):
        if one.info["username"] == "games" and f"{Path(user.socket).parent}/{UNIT}" in (one.info["cmdline"] or ()):
            one.kill()
    wait_until(lambda: not process.is_alive())
    process.end()


def test_it_obeys_the_agents_user_alone() -> None:
    with session_units(GAMES, "nobody") as path:  # and root is not nobody, but could be
        user = session_user(GAMES, path)
        connected(user, {"kind": "files"})[0].close()
        path.chmod(0o666)
        code = (
            "import os,socket,sys; os.setgroups([]); os.setgid(12); os.setuid(1)\n"
            "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            "m=b'{\"kind\": \"files\"}'; s.sendall(len(m).to_bytes(4, 'big') + m)\n"
            "try: print(s.recv(100))\n"
            "except ConnectionResetError: print(b'')"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, str(path)], check=True, capture_output=True, timeout=60
        )
        assert done.stdout.strip() == b"b''", "it hung up"


def test_another_user_than_the_one_expected_is_refused(user: ServiceUser) -> None:
    with pytest.raises(NoUserError, match="the unit runs as games and not as nobody"):
        connected(replace(user, name="nobody"), {"kind": "files"})
    with pytest.raises(NoUserError):
        FileProcess(replace(user, name="nobody"))


def test_a_unit_that_runs_as_root_does_nothing() -> None:
    with session_units(pwd.getpwnam("root"), "root") as path:
        user = choose("games", 1, socket=str(path))
        with pytest.raises(OSError, match=r"ended at once|reset"):
            connected(user, {"kind": "files"})
        with pytest.raises(PathRefusedError):
            FileProcess(user)


@pytest.mark.parametrize("asked", [{"kind": "shell"}, {}, {"kind": "terminal"}, {"kind": "files", "more": 1}])
def test_what_it_does_not_know_it_does_not_do(user: ServiceUser, asked: dict[str, object]) -> None:
    with pytest.raises(OSError, match=r"ended at once|reset"):
        connected(user, asked)


def test_nobody_there(tmp_path: Path, user: ServiceUser, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        connected(replace(user, socket=str(tmp_path / "none")), {"kind": "files"})
    monkeypatch.setattr(unit_client, "GREETING_S", 0.2)
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "s"))
    silent.listen()
    with silent, pytest.raises(TimeoutError):
        connected(replace(user, socket=str(tmp_path / "s")), {"kind": "files"})
