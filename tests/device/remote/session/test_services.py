"""Services on demand: started for whoever opens their port, shared by sessions, gone afterwards, also after a kill."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
from pathlib import Path

import pytest

from device.kernel import state_file
from device.kernel.log import Log
from device.remote.leftovers import FILE, born, end_orphans
from device.remote.session.ports import NotRunningError
from device.remote.session.services import OnDemandServices
from device.settings.values import OnDemand
from device.texts import texts_in
from tests.support.two_users import only_root, reachable_folder, visitor
from tests.support.until import until

SERVE = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
LATER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]])"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def camera(port: int) -> OnDemand:
    return OnDemand(start=[sys.executable, "-c", SERVE, str(port)], ready_timeout=60)


def desk(folder: Path, port: int, service: OnDemand) -> OnDemandServices:
    return OnDemandServices({port: service}, folder, Log(texts_in("en"), "", {}, io.StringIO()))


async def test_it_runs_from_the_first_session_that_wants_it_to_the_last(tmp_path: Path) -> None:
    port = free_port()
    services = desk(tmp_path, port, camera(port))
    await asyncio.gather(services.ready(port, 7), services.ready(port, 8))
    assert answers(port)
    assert (tmp_path / FILE).exists()
    await services.release(7)
    assert answers(port)
    await services.release(8)
    assert not answers(port)
    assert not (tmp_path / FILE).exists()


async def test_the_machines_key_is_never_handed_to_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RVM_API_TOKEN", "API_TOKEN", "RVM_API_TOKEN_FILE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("RVM_CAMERA", "2")
    port, said, stopped = free_port(), tmp_path / "said", tmp_path / "stopped"
    tell = "import os, sys, pathlib; pathlib.Path(sys.argv[2]).write_text(repr(dict(os.environ)))\n"
    service = OnDemand(
        start=[sys.executable, "-c", tell + SERVE, str(port), str(said)],
        stop=[sys.executable, "-c", tell, "-", str(stopped)],
        ready_timeout=60,
    )
    services = desk(tmp_path, port, service)
    await services.ready(port, 7)
    await services.release(7)
    for told in (said.read_text(), stopped.read_text()):
        assert "RVM_CAMERA" in told
        assert "secret" not in told


async def test_what_ran_already_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = int(own.getsockname()[1])
        services = desk(tmp_path, port, OnDemand(start=["/nonexistent"]))
        await services.ready(port, 7)
        await services.release(7)
        assert answers(port)


async def test_a_command_that_starts_a_service_and_ends_is_as_good(tmp_path: Path) -> None:
    port = free_port()
    start = [sys.executable, "-c", LATER, str(port), SERVE]
    services = desk(tmp_path, port, OnDemand(start=start, ready_timeout=60))
    await services.ready(port, 7)
    await services.release(7)
    await until(lambda: not answers(port))


async def test_the_stop_command_is_used_when_there_is_one(tmp_path: Path) -> None:
    port, stopped = free_port(), tmp_path / "stopped"
    service = OnDemand(start=camera(port).start, stop=["/usr/bin/touch", str(stopped)], ready_timeout=60)
    services = desk(tmp_path, port, service)
    await services.ready(port, 7)
    await services.release(7)
    assert stopped.exists()
    assert not answers(port)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (["/nonexistent/camera"], "cannot be started"),
        (["/bin/false"], "ended with 1"),
        (["/bin/true"], "nothing answers"),
    ],
)
async def test_one_that_does_not_come_up_is_reported_with_its_reason(
    tmp_path: Path, start: list[str], why: str
) -> None:
    port = free_port()
    services = desk(tmp_path, port, OnDemand(start=start, ready_timeout=1.0))
    with pytest.raises(NotRunningError, match=why):
        await services.ready(port, 7)
    await services.release(7)


async def test_the_next_life_ends_what_a_killed_agent_left(tmp_path: Path) -> None:
    port = free_port()
    services = desk(tmp_path, port, camera(port))
    await services.ready(port, 7)
    process = services._processes[port]
    assert await asyncio.to_thread(end_orphans, tmp_path, {port: camera(port)}) == [port]
    await process.wait()
    assert not answers(port)
    assert await asyncio.to_thread(end_orphans, tmp_path, {}) == []


def test_the_command_that_ends_a_leftover_is_the_configurations(tmp_path: Path) -> None:
    """The note is a list of what ran, not of what to run."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    noted = {"port": 5000, "pid": 2**22 + 1, "born": "", "stop": ["/usr/bin/touch", str(theirs)]}
    state_file.write_value(tmp_path / FILE, [noted])
    service = OnDemand(start=["/bin/true"], stop=["/usr/bin/touch", str(ours)])
    assert end_orphans(tmp_path, {5000: service}) == [5000]
    assert ours.exists()
    assert not theirs.exists()


@only_root
async def test_no_program_runs_as_root_that_a_terminals_user_may_exchange(tmp_path: Path) -> None:
    port, user = free_port(), visitor()
    with reachable_folder(user.uid) as folder:
        program, script = folder / "camera", folder / "camera.py"
        for file in (program, script):
            file.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            file.chmod(0o755)
        log = Log(texts_in("en"), "", {}, io.StringIO())
        for service in (
            OnDemand(start=[str(program)]),
            OnDemand(start=["sh", str(script)]),
            OnDemand(start=["/bin/true"], stop=[str(program)]),
        ):
            services = OnDemandServices({port: service}, tmp_path, log, user)
            with pytest.raises(NotRunningError, match=f"{user.name} may change {folder}, and it would run as root"):
                await services.ready(port, 7)
        folder.chmod(0o777)
        os.chown(folder, 0, 0)
        with pytest.raises(NotRunningError, match=f"everybody may change {folder}"):
            await services.ready(port, 7)
        folder.chmod(0o755)
        services = OnDemandServices({port: OnDemand(start=[str(program)], ready_timeout=0.2)}, tmp_path, log, user)
        with pytest.raises(NotRunningError, match="nothing answers"):
            await services.ready(port, 7)
        assert (tmp_path / "ran").exists()


def test_a_process_is_known_by_its_birth() -> None:
    assert born(1)
    assert born(2**22 + 1) == ""
