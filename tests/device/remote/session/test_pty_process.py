"""A command on a terminal of its own."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from device.remote.service_user import choose
from device.remote.session.pty_process import PtyProcess, environment_of
from tests.support.two_users import only_root, reachable_folder
from tests.support.until import PATIENCE_S, until

USER = choose("", os.geteuid())
ENVIRONMENT = environment_of(USER, "xterm", "")


async def read_until(terminal: PtyProcess, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        data = await asyncio.wait_for(terminal.read(), PATIENCE_S)
        assert data, seen
        seen += data
    return seen


def uids_of(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/status").read_text().partition("Uid:")[2].split()[:4]))


def handles() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def begun(*argv: str) -> PtyProcess:
    return await PtyProcess.start(argv, USER, ENVIRONMENT, (80, 24))


async def test_it_leads_a_session_whose_controlling_terminal_it_has() -> None:
    terminal = await begun("/bin/sh", "-c", "cat /proc/self/stat; cat")
    fields = (await read_until(terminal, b"\n")).rpartition(b")")[2].split()
    session, device = int(fields[3]), int(fields[4])
    assert session == terminal.pid
    assert device != 0
    assert os.getsid(terminal.pid) == terminal.pid
    assert uids_of(terminal.pid) == {USER.uid}
    await terminal.end()


@only_root
async def test_it_goes_home_with_its_own_rights_and_not_with_roots(tmp_path: Path) -> None:
    """A home that was exchanged for a link would else open a folder below one that only root may enter."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    with reachable_folder(USER.uid) as home:
        for place, where in ((home, str(home)), (hidden, "/")):
            user = replace(USER, home=str(place))
            command = ("/bin/sh", "-c", "readlink /proc/self/cwd")
            terminal = await PtyProcess.start(command, user, environment_of(user, "xterm", ""), (80, 24))
            assert (await read_until(terminal, b"\n")).decode().strip() == where
            await terminal.end()


async def test_end_of_file_and_code() -> None:
    terminal = await begun("/bin/cat")
    await terminal.write(b"\x04")
    while await asyncio.wait_for(terminal.read(), PATIENCE_S):
        pass
    await terminal.settle()
    assert terminal.code == 0
    await terminal.end()


async def test_a_shell_that_obeys_the_hang_up_may_tidy_up_first() -> None:
    terminal = await begun("/bin/sh", "-c", "trap 'exit 7' HUP; echo ready; while :; do read line || :; done")
    await read_until(terminal, b"ready")
    await terminal.end()
    assert terminal.code == 7


async def test_a_cancelled_end_still_kills() -> None:
    terminal = await begun("/bin/sh", "-c", "trap '' HUP TERM; echo ready; while :; do sleep 100; done")
    await read_until(terminal, b"ready")
    ending = asyncio.ensure_future(terminal.end())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await until(lambda: terminal.code is not None)
    assert terminal.code == 137


async def test_the_reader_wakes_when_the_terminal_is_ended_below_it() -> None:
    terminal = await begun("/bin/sh", "-c", "trap '' HUP; sleep 1000")
    reading = asyncio.ensure_future(terminal.read())
    await asyncio.sleep(0)
    await terminal.end()
    assert await asyncio.wait_for(reading, PATIENCE_S) == b""


async def test_a_command_that_cannot_be_started_leaves_no_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    before = handles()

    async def fails(*argv: str, **more: object) -> None:
        raise PermissionError

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fails)
    with pytest.raises(PermissionError):
        await begun("/bin/cat")
    assert handles() == before


def test_the_environment_is_ours_whatever_the_agents_is() -> None:
    assert environment_of(USER, "linux", "id_ID.utf8")["LANG"] == "id_ID.utf8"
    for language in ("", "C", "de_DE.ISO-8859-1"):
        assert environment_of(USER, "linux", language)["LANG"] == "C.UTF-8"
    assert environment_of(USER, "linux", "")["TERM"] == "linux"
