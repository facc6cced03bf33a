"""A private system bus: the real dbus-daemon, with a process of ours standing for systemd, logind and timedated.

It records what it is asked, and has moods: obey, refuse as polkit does, hang, fail. `DBUS_SYSTEM_BUS_ADDRESS` of
`environ` leads there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.until import PATIENCE_S

ROOT = Path(__file__).parents[2]
DAEMON = shutil.which("dbus-daemon") or ""
needs_bus = pytest.mark.skipif(not DAEMON, reason="no dbus-daemon on this computer: install the package dbus")
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """`mood` is obeyed from the next request on; `calls` are the requests so far, as [method, *arguments]."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._folder = folder
        self.address = f"unix:path={socket}"
        self.mood = "obey"

    @property
    def environ(self) -> dict[str, str]:
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address}

    @property
    def mood(self) -> str:
        return (self._folder / "mood").read_text()

    @mood.setter
    def mood(self, mood: str) -> None:
        beside = self._folder / "mood.new"
        beside.write_text(mood)
        beside.replace(self._folder / "mood")

    @property
    def calls(self) -> list[list[object]]:
        record = self._folder / "calls"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    @property
    def root(self) -> Path:
        """The root folder whose /etc/localtime timedated changes."""
        return self._folder / "root"

    def started(self, **moments: float) -> None:
        """Since when services run, by the monotonic clock; the others are not loaded."""
        (self._folder / "starts").write_text(json.dumps({f"{name}.service": at for name, at in moments.items()}))

    def are(self, **states: str) -> None:
        """How services are, in systemd's words; of the others there is no file."""
        (self._folder / "states").write_text(json.dumps({f"{name}.service": how for name, how in states.items()}))

    def permits(self, **moods: str) -> None:
        """Otherwise than the mood: `set_timezone="deny"` for polkit's action of that name, `CanReboot="ask"`."""
        names = {
            "set_timezone": "org.freedesktop.timedate1.set-timezone", "set_ntp": "org.freedesktop.timedate1.set-ntp",
            "manage_units": "org.freedesktop.systemd1.manage-units",
        }  # fmt: skip
        (self._folder / "permits").write_text(json.dumps({names.get(name, name): how for name, how in moods.items()}))

    @property
    def zone(self) -> str:
        """What timedated was last set to."""
        kept = self._folder / "zone"
        return kept.read_text() if kept.exists() else "Etc/UTC"


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[PrivateBus]:
    """The daemon and the services, ready for requests."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, in a test
    # A socket's path has 107 bytes at most, and a test's folder beside other workers is longer.
    short = Path(tempfile.mkdtemp(prefix="bus-"))
    bus = PrivateBus(folder, short / "socket")
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=short / "socket"))
    daemon = await asyncio.create_subprocess_exec(
        DAEMON, "--nofork", f"--config-file={configuration}", "--print-address=1", stdout=asyncio.subprocess.PIPE
    )
    services = None
    try:
        assert daemon.stdout is not None
        await asyncio.wait_for(daemon.stdout.readline(), PATIENCE_S)
        services = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.system_services", str(folder),
            cwd=ROOT, env={**os.environ, **bus.environ}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert services.stdout is not None
        assert await asyncio.wait_for(services.stdout.readline(), PATIENCE_S) == b"ready\n"
        yield bus
    finally:
        for process in (services, daemon):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        shutil.rmtree(short, ignore_errors=True)
