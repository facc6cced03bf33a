"""A terminal through a stream: a real shell on a real PTY."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from device.kernel.log import Log
from device.remote.service_user import choose
from device.remote.session.terminal import MAX_TERMINALS, TerminalServer
from device.texts import texts_in
from tests.support.device_streams import lease, served
from tests.support.until import PATIENCE_S, until

ARGS = {"cols": 100, "rows": 30, "term": "xterm-256color"}
OURS = choose("", os.geteuid())


def server(command: Sequence[str] = ("/bin/sh",), user: str = "", out: io.StringIO | None = None) -> TerminalServer:
    log = Log(texts_in("en"), "", {}, out or io.StringIO())
    return TerminalServer(command, lambda: choose(user, os.geteuid()), log)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_what_is_typed_is_echoed_and_done_by_an_unprivileged_user() -> None:
    out = io.StringIO()
    async with served(server(out=out).serve, "terminal", ARGS) as (stream, task):
        assert stream.info == {"user": OURS.name, "command": "/bin/sh"}
        await stream.hub_send(b"echo uid=$(id -u) $((6*7))\n")
        await stream.hub_read_until(f"uid={OURS.uid} 42".encode())
        await stream.hub_send(b"exit 3\n")
        await stream.hub_read_all()
        await task
    assert stream.controls == [{"exit": 3}]
    assert stream.finished
    assert OURS.uid != 0
    said = out.getvalue()
    assert "Siti (192.168.1.9) has a terminal as" in said
    assert "is closed" in said


async def test_the_environment_holds_nothing_of_the_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_API_TOKEN", "rvmk_secret")
    monkeypatch.setenv("LANG", "id_ID.UTF-8")
    command = ("/bin/sh", "-c", "env; ls /proc/self/fd")
    async with served(server(command).serve, "terminal", ARGS) as (stream, _task):
        shown = (await stream.hub_read_all()).decode()
    lines = dict(line.partition("=")[::2] for line in shown.split() if "=" in line)
    assert set(lines) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "TERM", "LANG", "PATH", "HOME", "USER", "LOGNAME", "SHELL",
    }  # fmt: skip
    assert lines["LANG"] == "id_ID.UTF-8"
    assert lines["USER"] == OURS.name
    assert [fd for fd in shown.split() if fd.isdecimal()] == ["0", "1", "2", "3"]  # 3 is the folder ls reads


async def test_it_is_a_terminal_of_its_own_with_a_size_that_follows() -> None:
    async with served(server().serve, "terminal", ARGS) as (stream, _task):
        await stream.hub_send(b"tty; stty size; ps -o sid= -p $$ | tr -d ' '; echo pid $$ </dev/tty\n")
        shown = await stream.hub_read_until(b"30 100")
        assert b"/dev/pts/" in shown
        await stream.hub_read_until(b"pid ")
        stream.hub_control({"resize": [132, 50]})
        await stream.hub_send(until_it_has(50))
        await stream.hub_read_until(b"50 132")
        for wrong in (
            {"resize": [0, 5]},
            {"resize": "big"},
            {"resize": [True, 5]},
            {"other": 1},
            {"resize": [9**9, 9**9]},
        ):
            stream.hub_control(wrong)
        await stream.hub_send(until_it_has(2000))
        await stream.hub_read_until(b"2000 2000")


def until_it_has(rows: int) -> bytes:
    """A line for the shell: a size goes another way than what is typed, and may come after it."""
    return b"while stty size | grep -qv '^%d '; do :; done; stty size\n" % rows


async def test_interrupt_reaches_what_runs_in_front() -> None:
    async with served(server().serve, "terminal", ARGS) as (stream, _task):
        await stream.hub_send(b"/bin/sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        await stream.hub_read_until(b"begun")
        await stream.hub_send(b"\x03")
        await stream.hub_send(b"echo still $((1+1))\n")
        await stream.hub_read_until(b"still 2")


async def test_bytes_pass_as_they_are_and_backspace_takes_a_whole_character() -> None:
    async with served(server(("/bin/cat",)).serve, "terminal", ARGS) as (stream, _task):
        await stream.hub_send("é€😀".encode()[:4])
        await stream.hub_send("é€😀".encode()[4:] + b"\n")
        shown = await stream.hub_read_until("é€😀\r\né€😀\r\n".encode())
        assert shown.decode()
        await stream.hub_send("a€".encode() + b"\x7fb\n")
        assert (await stream.hub_read_until(b"\r\nab\r\n")).endswith(b"\r\nab\r\n")


async def test_a_lot_of_output_waits_for_its_reader_and_none_is_lost() -> None:
    command = ("/bin/sh", "-c", "stty -opost; seq 1 200000; echo the end")
    async with served(server(command).serve, "terminal", ARGS) as (stream, task):
        before = -1
        while before != stream.waiting:  # the sender has come to a halt: more than the window is not kept
            before = stream.waiting
            await asyncio.sleep(0.05)
        assert stream.waiting < 512 * 1024
        shown = await stream.hub_read_all()
        await task
    assert shown == b"".join(b"%d\n" % n for n in range(1, 200001)) + b"the end\n"
    assert stream.controls == [{"exit": 0}]


async def test_a_lot_of_input_waits_for_a_program_that_does_not_read() -> None:
    whole = bytes(range(32, 127)) * 20000
    command = ("/bin/sh", "-c", f"stty raw -echo; echo ready; sleep 0.3; head -c {len(whole)} | sha256sum")
    async with served(server(command).serve, "terminal", ARGS) as (stream, _task):
        await stream.hub_read_until(b"ready")
        await stream.hub_send(whole)
        import hashlib

        await stream.hub_read_until(hashlib.sha256(whole).hexdigest().encode())


@pytest.mark.parametrize("how", ["cancelled", "ended", "reset"])
async def test_whatever_runs_in_it_dies_with_the_stream(how: str) -> None:
    """Jobs in the background, in their own group, deaf to a hang-up."""
    script = "set -m; (trap '' HUP TERM INT; sleep 1000; sleep 1000) & echo job $! shell $$ .; wait\n"
    async with served(server().serve, "terminal", ARGS) as (stream, task):
        await stream.hub_send(script.encode())
        shown = (await stream.hub_read_until(b" .\r\n")).decode()
        while not shown.rpartition("job ")[2][:1].isdecimal():
            shown += (await stream.hub_read_until(b" .\r\n")).decode()
        words = shown.rpartition("job ")[2].split()
        job, shell = int(words[0]), int(words[2])
        assert alive(job)
        assert alive(shell)
        if how == "ended":
            await stream.hub_finish()
            await asyncio.wait_for(task, PATIENCE_S)
        elif how == "reset":
            await stream.hub_reset()
            await asyncio.wait_for(task, PATIENCE_S)
    await until(lambda: not alive(job) and not alive(shell))


async def test_a_shell_that_ends_takes_its_background_jobs_along() -> None:
    command = ("/bin/sh", "-c", "trap '' HUP; sleep 1000 & echo job $! .; exit 5")
    async with served(server(command).serve, "terminal", ARGS) as (stream, task):
        shown = (await stream.hub_read_all()).decode()
        await asyncio.wait_for(task, PATIENCE_S)
    assert stream.controls == [{"exit": 5}]
    await until(lambda: not alive(int(shown.split()[1])))


async def test_a_signal_is_reported_as_a_shell_reports_it() -> None:
    async with served(server(("/bin/sh", "-c", "kill -9 $$")).serve, "terminal", ARGS) as (stream, task):
        await stream.hub_read_all()
        await asyncio.wait_for(task, PATIENCE_S)
    assert stream.controls == [{"exit": 137}]


@pytest.mark.parametrize(
    ("make", "allow", "code"),
    [
        (lambda: server(), ("ports",), "not_allowed"),
        (lambda: server(user="root"), ("terminal",), "no_shell"),
        (lambda: server(user="nobody-of-that-name"), ("terminal",), "no_shell"),
        (lambda: server(("no-such-shell",)), ("terminal",), "no_shell"),
    ],
)
async def test_a_refusal_has_its_code(make: Callable[[], TerminalServer], allow: tuple[str, ...], code: str) -> None:
    async with served(make().serve, "terminal", ARGS, lease(allow)) as (stream, _task):
        assert stream.refused is not None
        assert stream.refused[0] == code
        assert stream.info is None


async def test_a_session_has_so_many_terminals_and_no_more() -> None:
    shells = server(("/bin/cat",))
    async with (
        served(shells.serve, "terminal", ARGS),
        served(shells.serve, "terminal", ARGS),
        served(shells.serve, "terminal", ARGS),
    ):
        async with served(shells.serve, "terminal", ARGS) as (last, _):
            assert last.info
            assert MAX_TERMINALS == 4
            async with served(shells.serve, "terminal", ARGS) as (stream, _):
                assert stream.refused is not None
                assert stream.refused[0] == "too_many"
            async with served(shells.serve, "terminal", ARGS, lease(number=8)) as (other, _):
                assert other.info, "another session counts for itself"
        async with served(shells.serve, "terminal", ARGS) as (again, _):
            assert again.info, "a closed one makes room"


async def test_senseless_arguments_are_replaced() -> None:
    args = {"cols": "wide", "rows": None, "term": "x\n; rm -rf /"}
    async with served(server(("/bin/sh", "-c", "stty size; echo $TERM")).serve, "terminal", args) as (stream, _):
        assert (await stream.hub_read_all()).split() == [b"24", b"80", b"xterm-256color"]


async def test_nothing_stays_open_after_many_terminals() -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    shells = server(("/bin/true",))
    before = None
    for _ in range(12):
        async with served(shells.serve, "terminal", ARGS) as (stream, task):
            await stream.hub_read_all()
            await asyncio.wait_for(task, PATIENCE_S)
        before = before or handles()
    await until(lambda: handles() <= (before or 0) + 2)
