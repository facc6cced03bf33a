"""The real agent on a machine that may be reached from here: loopback people, free ports, a boot that can end.

async with remote_machine(folder, hub.url, key) as machine:
    await machine.kill()
    machine.boot()
    await machine.start()      # after a reboot
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from device.remote.service_user import choose
from tests.support.door_agent import DoorAgent
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey
from tests.support.two_users import reachable_folder

SHELL = ["/bin/sh", "-i"]


class RemoteMachine(DoorAgent):
    """`control_port` is where its control page is during a lease; `files` may be read and filled by a terminal's user,
    where others than ours get as well."""

    def __init__(self, folder: Path, files: Path, url: str, key: MachineKey, **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.root = folder / "root"
        self.files = files
        self.control_port = free_port()
        ports = [self.control_port, *settings.pop("ports", ())]
        given = {
            "admin_ips": ["127.0.0.1/32", "::1/128"], "sensor_root": str(self.root), "connection_timeout": 5,
            "metrics_interval": 1, "remote_access_port": self.control_port, "remote_access_ports": ports,
            "terminal_command": SHELL, "remote_download_folders": [str(self.files)],
            "remote_upload_folders": [str(self.files)], **settings,
        }  # fmt: skip
        self.boot()
        super().__init__(folder, url, key, **given)

    def boot(self) -> None:
        """A new boot begins."""
        place = self.root / "proc" / "sys" / "kernel" / "random"
        place.mkdir(parents=True, exist_ok=True)
        (place / "boot_id").write_text(str(uuid.uuid4()))


@contextlib.asynccontextmanager
async def remote_machine(folder: Path, url: str, key: MachineKey, **settings: Any) -> AsyncIterator[RemoteMachine]:
    """Running; gone afterwards."""
    with reachable_folder(choose("", os.geteuid()).uid) as files:
        machine = RemoteMachine(folder, files, url, key, **settings)
        await machine.start()
        try:
            yield machine
        finally:
            await machine.kill()
