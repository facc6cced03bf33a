"""Runs a demo for pictures, with content to show: people of each role, a session, a backup, a preview."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from playwright.async_api import Page

ROOT: Final = Path(__file__).resolve().parent.parent


@contextlib.asynccontextmanager
async def running_demo() -> AsyncIterator[str]:
    """Yields its sign-in link; all of it is gone afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "run_hub.py", "--demo", "--data-dir", folder, "--port", str(port),
            cwd=ROOT, stdout=PIPE, env={**os.environ, "RVM_BOOTSTRAP": "off"},
        )  # fmt: skip
        try:
            yield await _sign_in_link(demo)
        finally:
            with contextlib.suppress(ProcessLookupError):
                demo.send_signal(signal.SIGINT)
            await asyncio.wait_for(demo.wait(), 40)


async def _sign_in_link(demo: Process) -> str:
    if demo.stdout is not None:
        async for line in demo.stdout:
            found = re.search(r"http\S+/signin#\S+", line.decode())
            if found:
                return found.group(0)
    raise RuntimeError("the demo ended without printing a sign-in link")


class Visitor(NamedTuple):
    """`name`: of the pictures; `role` of the hub; `machines` of a technician, as `DemoContent` names them."""

    name: str
    role: str
    machines: tuple[str, ...] = ()
    all_looks: bool = False


VISITORS: Final = (
    Visitor("admin", "admin", all_looks=True),
    Visitor("operator", "operator"),
    Visitor("technician", "technician", ("real", "full", "offline")),
    Visitor("unassigned", "technician"),
    Visitor("viewer", "viewer"),
)
NAMES: Final = {"en": "Ayu Lestari", "id": "Budi Santoso"}
PASSWORD: Final = "botol kosong di pojok stasiun"  # noqa: S105 - of a demo that lives for minutes
ASK: Final = """async ([method, path, body]) => {
  const headers = {"Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf};
  const answer = await fetch("/api/v2" + path, {method, headers, body: body && JSON.stringify(body)});
  const body_of = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(body_of)}`);
  return body_of.data;
}"""


async def ask(page: Page, method: str, path: str, body: Any = None) -> Any:
    """By REST, as whoever the page is signed in for."""
    return await page.evaluate(ASK, [method, path, body])


@dataclass
class DemoContent:
    """What the demo has to show beyond its machines; `facts` fill addresses of pages."""

    base: str
    page: Page
    facts: dict[str, Any] = field(default_factory=dict)

    async def prepare(self) -> None:
        await self._machines()
        await self._people()
        await self._session()
        await self._backup()

    async def _machines(self) -> None:
        rows = {row["name"]: row for row in await ask(self.page, "GET", "/rvms")}
        real = next(row for row in rows.values() if not row["simulated"])
        numbers = {"busy": 1, "full": 3, "hot": 6, "offline": 9, "late": 12, "maintenance": 15}
        for role, number in numbers.items():
            self.facts[role] = next(row["id"] for name, row in rows.items() if name.startswith(f"RVM-{number:03d} "))
        self.facts |= {"real": real["id"], "real_name": real["device_id"]}
        for role, tags in (("full", ["stasiun"]), ("busy", ["stasiun"]), ("hot", ["mal", "prioritas"])):
            await ask(self.page, "PATCH", f"/rvms/{self.facts[role]}", {"tags": tags})
        self.facts["command"] = await self._until("/commands", lambda commands: commands[0]["id"])

    async def _people(self) -> None:
        for visitor in VISITORS:
            for language, name in NAMES.items():
                wanted = {
                    "email": address_of(visitor, language), "name": name, "role": visitor.role, "password": PASSWORD,
                    "language": language, "machines": [self.facts[of] for of in visitor.machines],
                }  # fmt: skip
                made = await ask(self.page, "POST", "/users", wanted)
                self.facts[visitor.name] = made["id"]
        await ask(self.page, "POST", "/users", {"email": "sari@example.com", "name": "Sari", "role": "viewer"})
        place = {"name": "Operator Jakarta", "address": "mailtos://hub:secret@example.com?to=operator@example.com"}
        made = await ask(self.page, "POST", "/notification-destinations", place)
        # Paused: a demo sends nothing to anybody.
        await ask(self.page, "PATCH", f"/notification-destinations/{made['id']}", {"disabled": True})
        self.facts["destination"] = made["id"]
        await ask(self.page, "POST", "/tokens", {"name": "laporan malam", "expires_in_days": 90})

    async def _session(self) -> None:
        """One that is over, with a recording."""
        real = self.facts["real"]
        await self.page.goto(f"{self.base}/machines/{real}/terminal")
        await self.page.fill("#lease-reason", "Kamera gelap sejak pagi")
        await self.page.locator("#start-form button").click()
        await self.page.wait_for_selector("[data-term=tools]", state="visible", timeout=30_000)
        await self.page.locator(".xterm-helper-textarea").focus()
        await self.page.keyboard.type("uptime; df -h /\n")
        await self.page.wait_for_timeout(3000)
        await ask(self.page, "POST", f"/rvms/{real}/remote-access/stop", {"reason": "selesai"})
        self.facts["recording"] = await self._until(
            f"/rvms/{real}/remote-access/recordings", lambda rows: rows[0]["id"]
        )

    async def _backup(self) -> None:
        """A verified one, and the preview of a restore."""
        real = self.facts["real"]
        await ask(self.page, "POST", f"/rvms/{real}/backup/start", {"backup_type": "full"})
        verified = "verified_at"
        self.facts["backup"] = await self._until(
            f"/rvms/{real}/backups", lambda rows: next(row["id"] for row in rows if row[verified])
        )
        started = await ask(self.page, "POST", f"/rvms/{real}/backups/{self.facts['backup']}/restore", {})
        self.facts["restore"] = started["id"]

    async def _until(self, path: str, found: Any) -> Any:
        ends = time.monotonic() + 180
        while time.monotonic() < ends:
            with contextlib.suppress(IndexError, StopIteration):
                return found(await ask(self.page, "GET", path))
            await asyncio.sleep(1)
        raise RuntimeError(f"{path}: nothing there after 180 s")


def address_of(visitor: Visitor, language: str) -> str:
    return f"{visitor.name}.{language}@example.com"
