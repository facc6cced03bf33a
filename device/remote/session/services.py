"""Starts services when a session opens their port, and stops them when none needs them.

What ran already is not stopped. What was started is noted on disk, for after a kill of the agent."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from device.kernel import state_file
from device.kernel.log import Log
from device.kernel.tasks import within
from device.remote.leftovers import FILE, STOP_S, Started, born, signal_group
from device.remote.service_user import ServiceUser
from device.remote.session.ports import NotRunningError
from device.remote.trusted_paths import weak_command
from device.settings import without_key
from device.settings.values import OnDemand

LOOK_S: Final = 0.1


class OnDemandServices:
    """Overlapping sessions share what runs. An agent with more rights does not run what `visitor` (the terminals'
    user) may change."""

    def __init__(
        self, services: Mapping[int, OnDemand], state_dir: Path, log: Log, visitor: ServiceUser | None = None
    ) -> None:
        self._services = services
        self._visitor = visitor
        self._file = state_dir / FILE
        self._log = log
        # Bound: one a declared port.
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        # Bound: one a declared port, the open sessions each.
        self._holders: dict[int, set[int]] = {}
        # Bound: one a declared port.
        self._locks: dict[int, asyncio.Lock] = {}

    async def ready(self, port: int, session_id: int) -> None:
        """When something answers on the port, or nothing would start it. Raises NotRunningError."""
        service = self._services.get(port)
        if service is None:
            return
        async with self._locks.setdefault(port, asyncio.Lock()):
            if port in self._processes:
                self._holders[port].add(session_id)
            if await _answers(port):
                return
            await self._stop(port)
            await self._start(port, service, session_id)

    async def release(self, session_id: int) -> None:
        for port, holders in list(self._holders.items()):
            holders.discard(session_id)
            async with self._locks.setdefault(port, asyncio.Lock()):
                if not self._holders.get(port):
                    await self._stop(port)

    async def _start(self, port: int, service: OnDemand, session_id: int) -> None:
        self._check(port, service.start)
        self._check(port, service.stop or ())
        try:
            process = await asyncio.create_subprocess_exec(
                *service.start, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True, env=without_key(),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise NotRunningError(f"port {port}: {service.start[0]} cannot be started ({error})") from error
        self._processes[port] = process
        self._holders[port] = {session_id}
        self._write()
        self._log("service_started", port=port, command=service.start[0])
        why = await self._failure(port, process, service)
        if why:
            await self._stop(port)
            raise NotRunningError(f"port {port}: {service.start[0]}: {why}")

    def _check(self, port: int, command: Sequence[str]) -> None:
        """No agent with more rights runs what terminals may change. Raises NotRunningError."""
        if command and self._visitor is not None and self._visitor.is_other:
            weak = weak_command(command, self._visitor)
            if weak is not None and weak.visitor:
                who = "root" if self._visitor.drop else "the agent"
                raise NotRunningError(f"port {port}: {weak.who} may change {weak.step}, and it would run as {who}")

    async def _failure(self, port: int, process: asyncio.subprocess.Process, service: OnDemand) -> str:
        """Wait for the port; why it did not answer."""
        until = time.monotonic() + service.ready_timeout
        while not await _answers(port):
            if process.returncode not in (None, 0):
                return f"ended with {process.returncode}"
            if time.monotonic() >= until:
                return f"nothing answers after {service.ready_timeout:g} s"
            await asyncio.sleep(LOOK_S)
        return ""

    async def _stop(self, port: int) -> None:
        process = self._processes.pop(port, None)
        self._holders.pop(port, None)
        if process is None:
            return
        stop = self._services[port].stop
        try:
            if stop is not None:
                await _run(stop)
            _end_group(process, signal.SIGTERM)
            if process.returncode is None:
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await within(STOP_S, process.wait())
        finally:  # also when the agent itself is ending and has no more time
            _end_group(process, signal.SIGKILL)
            self._write()
            self._log("service_stopped", port=port)

    def _write(self) -> None:
        """A refusing disk costs the note only."""
        running = [
            Started(port=port, pid=process.pid, born=born(process.pid)) for port, process in self._processes.items()
        ]
        with contextlib.suppress(OSError):
            if running:
                state_file.write_value(self._file, running)
            else:
                self._file.unlink(missing_ok=True)


async def _answers(port: int) -> bool:
    try:
        _, writer = await within(2.0, asyncio.open_connection("127.0.0.1", port))
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _run(command: list[str]) -> None:
    with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.TimeoutError):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=without_key(),
        )
        try:
            await within(STOP_S, process.wait())
        finally:
            if process.returncode is None:
                process.kill()


def _end_group(process: asyncio.subprocess.Process, what: signal.Signals) -> None:
    """A service left in an ended process's group keeps its number from others."""
    if process.returncode is None or not Path(f"/proc/{process.pid}").exists():
        signal_group(process.pid, what)
