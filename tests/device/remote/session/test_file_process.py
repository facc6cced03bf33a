"""The process that opens a session's files: it dies, is stopped or starved by its user, and ends with the session."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from device.remote.session import file_process
from device.remote.session.file_process import FileProcess
from tests.device.agent_process import ROOT
from tests.device.remote.session.test_files import Machine
from tests.support import two_users
from tests.support.until import until


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.server.close()


def has_ended(process: FileProcess) -> bool:
    return not process.is_alive()


async def test_the_process_that_opens_files_ends_with_the_session_and_is_replaced_when_it_dies(
    machine: Machine,
) -> None:
    (machine.logs / "file").write_text("harmless")
    for _ in range(2):
        async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
            assert await stream.hub_read_all() == b"harmless"
        process = machine.server._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(partial(has_ended, process))
    async with machine.asked(op="put", path=str(machine.updates / "half"), size=100) as stream:
        await stream.hub_send(bytes(50))
        process = machine.server._process
        assert process is not None
        machine.server.close()
        await until(partial(has_ended, process))
    assert list(machine.updates.iterdir()) == []


async def test_a_process_that_its_user_stops_is_replaced(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_process, "ANSWER_S", 1.0)
    (machine.logs / "file").write_text("harmless")
    async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
        await stream.hub_read_all()
    process = machine.server._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    assert await machine.refusal(op="get", path=str(machine.logs / "file")) == "internal"
    async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
        assert await stream.hub_read_all() == b"harmless"


async def test_a_process_that_may_open_nothing_more_says_so_and_lives(machine: Machine) -> None:
    """Its user may set its limits."""
    (machine.logs / "file").write_text("harmless")
    async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
        await stream.hub_read_all()
    process = machine.server._process
    assert process is not None
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    assert await machine.refusal(op="get", path=str(machine.logs / "file")) == "not_found"
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
    async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
        assert await stream.hub_read_all() == b"harmless"
    assert machine.server._process is process


_WITH_CAPABILITIES = """
from device.remote.rules.folders import PathRefusedError
from device.remote.session.file_process import FileProcess
from tests.support.two_users import visitor
process = FileProcess(visitor())
try:
    print(process.call("list", pin=("/tmp", 0, 0), parts=[]))
except PathRefusedError as refused:
    print(refused.code)
process.end()
"""


@two_users.only_root
@pytest.mark.parametrize(("bits", "code"), [("-no_setuid_fixup", "folder_changed"), ("+no_setuid_fixup", "internal")])
def test_a_process_that_would_keep_capabilities_opens_nothing(bits: str, code: str) -> None:
    """As a unit with `SecureBits=no-setuid-fixup` keeps them over a change of the user."""
    if (setpriv := shutil.which("setpriv")) is None:
        pytest.skip("without util-linux")
    command = [setpriv, "--securebits", bits, sys.executable, "-c", _WITH_CAPABILITIES]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == code
