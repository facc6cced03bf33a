"""Makes small real archives for a simulated machine, by the agent's code: files are made up, the upload is real.

One thread a backup. The folders go with the process: the first backup after a restart is full."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from demo.simulated_plan import Plan, rfc3339
from device.backups import upload
from device.backups.control import Assignment, ChildFailedError, ChildReport, Control, Gate, HubAddress
from device.backups.scan import SETTLED_NS
from protocol import messages as m
from protocol.commands import StartBackup

RATE: Final = 48 * 1024.0
"""Bytes a second, slow enough to watch."""
PHOTOS: Final = 8
PHOTO_BYTES: Final = 48 * 1024
TIMEOUT_S: Final = 30.0


class SimulatedBackups:
    """`link_url`: the hub's WebSocket for machines."""

    def __init__(self, plan: Plan, link_url: str) -> None:
        parts = urlsplit(link_url)
        scheme = "https" if parts.scheme == "wss" else "http"
        base_url = f"{scheme}://{parts.netloc}{parts.path.removesuffix('/ws/device')}"
        self._hub = HubAddress(
            base_url=base_url, api_token=plan.api_key, device_id=plan.device_id, timeout=TIMEOUT_S
        )  # fmt: skip
        self._folder: Path | None = None
        self._made = 0

    def start(self, wanted: StartBackup, now: float) -> RunningBackup:
        files = self._changed(now)
        sources = {
            "configuration": {"path": str(files / "configuration"), "class": "configuration"},
            "images": {"path": str(files / "images"), "class": "images"},
            "logs": {"path": str(files / "logs"), "class": "logs"},
        }
        args = {
            "backup_type": wanted.backup_type, "include_images": wanted.include_images,
            "include_logs": wanted.include_logs, "sources": sources, "agent_file": None, "compression": "gzip",
            "public_key": "", "identity_file": "", "chain_most": 7, "read_all": False, "workers": 1,
            "created_at": rfc3339(now),
        }  # fmt: skip
        assignment = Assignment(
            kind="backup", hub=self._hub, backup_id=wanted.backup_id, folder=str(files.parent / "state"), rate=RATE,
            args=args,
        )  # fmt: skip
        return RunningBackup(assignment)

    def _changed(self, now: float) -> Path:
        """The machine's files, a photograph and a log line more each time, a photograph less."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="simulated-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        files = self._folder / "files"
        for name in ("configuration", "images", "logs"):
            (files / name).mkdir(parents=True, exist_ok=True)
        (files / "configuration" / "machine.json").write_text('{"simulated": true}\n')
        with (files / "logs" / "machine.log").open("a") as log:
            log.write(f"{rfc3339(now)} a simulated machine is backed up\n")
        first, self._made = self._made, self._made + (1 if self._made else PHOTOS)
        for number in range(first, self._made):
            (files / "images" / f"{number:06}.jpg").write_bytes(random.randbytes(PHOTO_BYTES))
        (files / "images" / f"{self._made - PHOTOS - 1:06}.jpg").unlink(missing_ok=True)
        return files


class RunningBackup:
    """`progress`: the newest; `ended`: set at the end."""

    def __init__(self, assignment: Assignment) -> None:
        self.progress = m.Progress(phase="scanning")
        self.ended: m.Failure | dict[str, Any] | None = None
        self._assignment = assignment
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        control = Control(Gate(self._assignment.rate), self._report)
        time.sleep(2 * SETTLED_NS / 1e9)  # what changed within a tick of the scan is sent again the next time
        try:
            self.ended = upload.run(self._assignment, control)
        except ChildFailedError as failed:
            self.ended = m.Failure(code=failed.code, message=failed.message)

    def _report(self, report: ChildReport) -> None:
        phase = "waiting" if report.waits_for else report.phase
        self.progress = m.Progress(phase=phase, done=report.done, total=report.total)
