"""A machine that uploads backups to a hub, as its agent would, by REST."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from hub.kernel.objects.place import PART_SIZE


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pieces(data: bytes) -> list[bytes]:
    return [data[start : start + PART_SIZE] for start in range(0, len(data), PART_SIZE)]


def good(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()["data"]


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert answer.status_code == status, (answer.status_code, document)
    assert code is None or document.get("code") == code, document
    return document


@dataclass
class BackupClient:
    """Speaks for the machine whose key `http` has. `events`: what it asked, to look at afterwards."""

    http: httpx.AsyncClient
    rvm_id: int
    events: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"/api/v2/rvms/{self.rvm_id}"

    async def start(self, status: int = 202, **wanted: Any) -> Any:
        return good(await self.http.post(f"{self.base}/backup/start", json=wanted), status)

    async def status(self) -> Any:
        return good(await self.http.get(f"{self.base}/backup/status"))

    async def begin(self, backup_id: int, **wanted: Any) -> httpx.Response:
        return await self.http.post(f"{self.base}/backups/{backup_id}/upload", json=wanted)

    async def put(self, backup_id: int, number: int, data: bytes, sha256: str | None = None) -> httpx.Response:
        headers = {"X-Content-SHA256": sha256 or sha(data)}
        return await self.http.put(f"{self.base}/backups/{backup_id}/parts/{number}", content=data, headers=headers)

    async def put_all(self, backup_id: int, data: bytes) -> None:
        for number, piece in enumerate(pieces(data), 1):
            good(await self.put(backup_id, number, piece))

    async def complete(self, backup_id: int, data: bytes, **more: Any) -> httpx.Response:
        said = {"parts": len(pieces(data)), "size": len(data), "sha256": sha(data), **more}
        return await self.http.post(f"{self.base}/backups/{backup_id}/complete", json=said)

    async def made(self, data: bytes, *, backup_id: int | None = None, **wanted: Any) -> Any:
        """A whole backup; its outcome."""
        number = backup_id or (await self.start())["backup_id"]
        good(await self.begin(number, **wanted))
        await self.put_all(number, data)
        good(await self.complete(number, data), 202)
        return await self.ended(number, data)

    async def ended(self, backup_id: int, data: bytes, **more: Any) -> Any:
        """Ask until the hub has put it together."""
        while (answer := await self.complete(backup_id, data, **more)).status_code == 202:  # noqa: ASYNC110 - over HTTP
            await anyio.sleep(0.06)  # an agent asks every second; more often is too often for a machine's key
        return answer


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]
