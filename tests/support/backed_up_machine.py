"""A real hub and a real agent with something to back up, for tests that kill either of them in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from tests.support.forked_hub import ForkedHub
from tests.support.hub_people import MachineKey
from tests.support.remote_machine import RemoteMachine, remote_machine
from tests.support.until import until_answered

MIB = 1024 * 1024
ENDED = ("completed", "verified", "failed")
LONG_S = 280.0
"""What is waited for comes, however busy the computer is: the test's own time ends it."""


@dataclass
class BackedUpMachine:
    """`content` are the files of its one source, by the path that the archive has of each."""

    hub: ForkedHub
    key: MachineKey
    agent: RemoteMachine
    content: dict[str, bytes]

    async def get(self, path: str) -> dict[str, Any]:
        async with self.hub.client() as client:
            answer = await client.get(f"/api/v2/rvms/{self.key.id}{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    async def ask(self, kind: str = "full") -> int:
        """An administrator asks for a backup; its number."""
        body = {"backup_type": kind, "include_images": True, "include_logs": True}
        async with self.hub.client() as client:
            answer = await client.post(f"/api/v2/rvms/{self.key.id}/backup/start", json=body)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["data"]["backup_id"])

    async def status(self) -> dict[str, Any]:
        return await self.get("/backup/status")

    async def uploaded(self, size: int, seconds: float = LONG_S) -> None:
        """Wait until the hub has so many bytes of it, or all of it."""

        async def has() -> bool:
            status = await self.status()
            return status["upload_status"] in ENDED or (status["uploaded_bytes"] or 0) >= size

        await until_answered(has, seconds)

    async def reports(self, phase: str) -> None:
        """Wait until the machine has reported that phase."""

        async def is_at_it() -> bool:
            progress = (await self.status())["progress"]
            return progress is not None and progress["phase"] == phase

        await until_answered(is_at_it, LONG_S)

    async def ended(self, seconds: float = LONG_S) -> dict[str, Any]:
        """The newest backup, when it has ended."""

        async def is_over() -> bool:
            return (await self.status())["upload_status"] in ENDED

        await until_answered(is_over, seconds)
        return await self.status()

    async def verified(self, backup_id: int, seconds: float = LONG_S) -> dict[str, Any]:
        """The backup, when its drill is over."""

        async def is_over() -> bool:
            shown = await self.get(f"/backups/{backup_id}")
            return shown["upload_status"] in ("verified", "failed") or shown["drill_error"] is not None

        await until_answered(is_over, seconds)
        return await self.get(f"/backups/{backup_id}")

    async def archive(self, backup_id: int) -> bytes:
        """As the machine itself fetches it."""
        async with self.hub.client(self.key.api_key) as client:
            answer = await client.get(f"/api/v2/rvms/{self.key.id}/backups/{backup_id}/archive")
        assert answer.status_code == 200, answer.text
        return answer.content

    async def check(self, backup_id: int, status: dict[str, Any], identity: str = "") -> None:
        """What the hub keeps is what stood on the machine. `identity` opens an encrypted one."""
        archive = await self.archive(backup_id)
        shown = await self.get(f"/backups/{backup_id}")
        assert shown["sha256"] == hashlib.sha256(archive).hexdigest()
        assert (status["file_size"], shown["file_size"]) == (len(archive), len(archive))
        if identity:
            archive = pyrage.decrypt(archive, [pyrage.x25519.Identity.from_str(identity)])
        assert unpacked(archive) == self.content


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The plain files of an archive by path, without its manifests."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None and not member.name.startswith(".myrvm/"):
                found[member.name] = content.read()
    return found


@contextlib.asynccontextmanager
async def backed_up_machine(
    folder: Path, hub: ForkedHub, size: int, *, url: str = "", **settings: Any
) -> AsyncIterator[BackedUpMachine]:
    """Its source has `size` bytes that no compression makes smaller. `url`: how it reaches the hub."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    content = {}
    for number in range(4):
        data = random.Random(number).randbytes(size // 4)
        (photos / f"{number}.jpg").write_bytes(data)
        content[f"photos/{number}.jpg"] = data
    sources = {"photos": {"path": str(photos), "class": "images"}}
    key = await hub.add_machine("Lobby")
    given = {"backup_sources": sources, "metrics_interval": 1, **settings}
    async with remote_machine(folder / "machine", url or hub.url, key, **given) as agent:
        yield BackedUpMachine(hub, key, agent, content)
