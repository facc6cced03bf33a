"""A machine that dies at its n-th journal write, as a process of its own (`main`).

It is given the same commands in every life, as a hub would that heard nothing of the last one. Each command's effect is
a line in the file `effects`, written through to the disk. N 0: it lives to its end.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from device.commands.jobs import Job, Result, WorkHandler
from device.commands.router import CommandRouter
from device.commands.steps import remote_access_steps
from device.commands.work import CommandWork
from device.journal import keeper
from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import HubClock
from device.remote.access import RemoteAccessServer, RunningSession
from device.settings import load
from device.texts import texts_in
from protocol.messages import Cancel, Command

COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "status": ("set_status", {"status": "maintenance", "reason": "once"}),
    "ping": ("ping", {}),
    "lease": (
        "start_remote_access",
        {"session_id": 7, "admin_ip": "192.168.1.9", "ports": [], "duration": 600, "ticket": "", "reason": "belt"},
    ),
    "unlease": ("stop_remote_access", {"session_id": 7, "reason": "stopped"}),
    "restart": ("restart_service", {"service": "camera.service"}),
    "own": ("restart_service", {"service": "agent.service"}),
    "reboot": ("reboot", {}),
    "late": ("reboot", {}),
}
WITHDRAWN = "withdrawn"
DIED = 137
LIVED = 42


class Victim:
    def __init__(self, folder: Path, boot: str) -> None:
        self.effects = folder / "effects"
        disk = WorkerThread("disk")
        self.news = asyncio.Event()
        self.keeper = StateKeeper(folder / "journal", disk, self.news.set)
        log = Log(texts_in("en"), "", {}, io.StringIO())
        handlers = {
            "restart_service": WorkHandler(self.restart, begins_itself=True),
            "reboot": WorkHandler(self.reboot, begins_itself=True),
        }
        self.work = CommandWork(self.keeper, boot, log, lambda update: None, handlers)
        settings = load(None, {"RVM_API_TOKEN": "rvmk_0123456789abcdef", "RVM_MYRVM_BASE_URL": "https://hub.test"})
        self.sessions = RemoteAccessServer(settings, self.keeper, boot, log, visit)
        steps = remote_access_steps(self.sessions)
        self.router = CommandRouter(self.keeper, HubClock(), log, lambda update: None, self.work, steps=steps)

    def happened(self, command_id: str) -> None:
        with self.effects.open("a") as file:
            file.write(f"{command_id}\n")
            file.flush()
            os.fsync(file.fileno())

    async def answered(self, command_id: str) -> None:
        while self.keeper.memory.answer_to(command_id) is None:
            self.news.clear()
            await self.news.wait()

    async def restart(self, args: Any, job: Job) -> Result:
        await job.begin("process" if args.service == "agent.service" else "none")
        self.happened(job.id)
        return {}

    async def reboot(self, args: Any, job: Job) -> Result:
        job.progress("return_session")
        await job.begin("boot")
        self.happened(job.id)
        return {}


async def visit(running: RunningSession, ticket: str) -> str:
    """What a session does is no matter of the journal."""
    await asyncio.Event().wait()
    return ""


async def live(victim: Victim) -> None:
    await victim.keeper.open()
    await victim.work.settle_interrupted()
    await victim.sessions.open()
    running = asyncio.ensure_future(victim.work.run())
    now = datetime.now(timezone.utc)
    for command_id, (name, args) in COMMANDS.items():
        expires = now + timedelta(seconds=-1 if command_id == "late" else 600)
        command = Command(
            id=command_id, name=name, args=args, issued_at=now.isoformat(), expires_at=expires.isoformat()
        )
        for _ in range(3):
            await victim.router.handle(command)
        await victim.answered(command_id)
        await victim.keeper.confirm(command_id)
    await victim.router.handle(Cancel(id=WITHDRAWN))
    await victim.router.handle(
        Command(id=WITHDRAWN, name="reboot", args={}, issued_at=now.isoformat(), expires_at=expires.isoformat())
    )
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def die_at(count: int, moment: str) -> None:
    """Replace the one place that writes a fact: `before` it, `torn`, `unflushed`, or `after` the flush."""
    written = 0
    write = keeper._write_whole

    def deadly(handle: int, data: bytes, durable: bool) -> None:
        nonlocal written
        written += 1
        if written != count:
            write(handle, data, durable)
            return
        if moment == "torn":
            os.write(handle, data[: len(data) // 2])
        elif moment == "unflushed":
            os.write(handle, data)
        elif moment == "after":
            write(handle, data, durable)
        os._exit(DIED)

    keeper._write_whole = deadly


def live_once(folder: Path, boot: str, count: int, moment: str) -> None:
    """One life; ends the process."""
    die_at(count, moment)
    asyncio.run(live(Victim(folder, boot)))
    os._exit(LIVED)


def main() -> None:
    """A life for every line of standard input, each in a process of its own; its exit code is the answer."""
    for line in sys.stdin:
        folder, boot, count, moment = json.loads(line)
        child = os.fork()
        if not child:
            live_once(Path(folder), boot, count, moment)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
