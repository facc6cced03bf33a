"""An upload the shortest way: a body is streamed into a file, its sum checked, flushed to the disk, answered.

No rows, no rights, no list of parts, no rate limit, nothing assembled afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bench.bare_wire import Receive

PART = 8 * 1024 * 1024


class Upload(Receive):
    """PUT /uploads/{name}/{number} into a file of that name beside `store`, part by part at its place; DELETE it."""

    def __init__(self, store: str) -> None:
        super().__init__()
        self._store = Path(store)
        self._files: dict[str, int] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/uploads/{name}/{number:int}", self.put, methods=["PUT"]),
            Route("/uploads/{name}", self.delete, methods=["DELETE"]),
        ]

    def _path(self, name: str) -> Path:
        return self._store.with_name(f"{self._store.name}-{name}")

    async def put(self, request: Request) -> Response:
        name, at = request.path_params["name"], (request.path_params["number"] - 1) * PART
        if name not in self._files:
            self._files[name] = os.open(self._path(name), os.O_WRONLY | os.O_CREAT, 0o600)
        file, digest = self._files[name], hashlib.sha256()
        async for piece in request.stream():
            digest.update(piece)
            at += os.pwrite(file, piece, at)
        await asyncio.to_thread(os.fdatasync, file)
        is_right = digest.hexdigest() == request.headers.get("x-content-sha256")
        return Response(status_code=200 if is_right else 409)

    async def delete(self, request: Request) -> Response:
        name = request.path_params["name"]
        os.close(self._files.pop(name))
        self._path(name).unlink()
        return Response()
