"""Services of the machine that run only while a lease needs them: started when somebody opens their port, stopped after.

What ran already is nobody's to stop. What was started is on disk with its process, so that an agent that was killed
leaves no camera running: its next life ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from device import state_file
from device.log import Log
from device.remote.ports import NotRunningError
from device.remote_values import OnDemand

FILE: Final = "on-demand"
LOOK_S: Final = 0.1
STOP_S: Final = 20.0
"""What does not end by itself within this is killed."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A process of ours: `born` tells it from a later one with the same number."""

    port: int
    pid: int
    born: str
    stop: list[str] | None = None


class OnDemandServices:
    """`services` by port; sessions that overlap share what runs."""

    def __init__(self, services: Mapping[int, OnDemand], state_dir: Path, log: Log) -> None:
        self._services = services
        self._file = state_dir / FILE
        self._log = log
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._holders: dict[int, set[int]] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    async def ready(self, port: int, session_id: int) -> None:
        """Returns when something answers on the port, or when nothing is known that would start it. Raises
        NotRunningError."""
        service = self._services.get(port)
        if service is None:
            return
        async with self._locks.setdefault(port, asyncio.Lock()):
            if port in self._processes:
                self._holders[port].add(session_id)
            if await _answers(port):
                return
            if port in self._processes:
                await self._stop(port)
            await self._start(port, service, session_id)

    async def release(self, session_id: int) -> None:
        """The session is over: stop what nobody else needs."""
        for port, holders in list(self._holders.items()):
            holders.discard(session_id)
            if not holders:
                async with self._locks.setdefault(port, asyncio.Lock()):
                    await self._stop(port)

    async def _start(self, port: int, service: OnDemand, session_id: int) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *service.start, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True, close_fds=True, cwd="/",
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise NotRunningError(f"port {port}: {service.start[0]} cannot be started ({error})") from error
        self._processes[port] = process
        self._holders[port] = {session_id}
        self._write()
        self._log("service_started", port=port, command=service.start[0])
        until = time.monotonic() + service.ready_timeout
        while not await _answers(port):
            failed = process.returncode not in (None, 0)
            if failed or time.monotonic() >= until:
                await self._stop(port)
                why = (
                    f"ended with {process.returncode}"
                    if failed
                    else f"nothing answers after {service.ready_timeout:g} s"
                )
                raise NotRunningError(f"port {port}: {service.start[0]}: {why}")
            await asyncio.sleep(LOOK_S)

    async def _stop(self, port: int) -> None:
        process = self._processes.pop(port, None)
        self._holders.pop(port, None)
        if process is None:
            return
        service = self._services[port]
        try:
            if service.stop is not None:
                await _run(service.stop)
            _signal_group(process.pid, signal.SIGTERM)
            if process.returncode is None:
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(process.wait(), STOP_S)
        finally:  # also when the agent itself is ending and has no more time
            _signal_group(process.pid, signal.SIGKILL)
            self._write()
            self._log("service_stopped", port=port)

    def _write(self) -> None:
        """A disk that refuses costs the note only."""
        running = [
            Started(port=port, pid=process.pid, born=born(process.pid), stop=self._services[port].stop)
            for port, process in self._processes.items()
        ]
        with contextlib.suppress(OSError):
            if running:
                state_file.write_value(self._file, running)
            else:
                self._file.unlink(missing_ok=True)


def end_orphans(state_dir: Path) -> list[int]:
    """End what an earlier life started and could not stop; the ports. Blocks for as long as their commands take."""
    file = state_dir / FILE
    ended = []
    for one in state_file.read_value(file, list[Started]) or []:
        if one.stop is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(one.stop, timeout=STOP_S, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        if one.born and born(one.pid) == one.born:
            _signal_group(one.pid, signal.SIGKILL)
        ended.append(one.port)
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    return ended


def born(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 2.0)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _run(command: list[str]) -> None:
    with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.TimeoutError):
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        finally:
            if process.returncode is None:
                process.kill()


def _signal_group(pid: int, what: signal.Signals) -> None:
    """To the process and what it started; a command that has ended may have left a service in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, what)
