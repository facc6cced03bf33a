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
    """PUT /parts/{number} into the file at `store`, part by part at its place."""

    def __init__(self, store: str) -> None:
        super().__init__()
        self._file = os.open(store or "/dev/null", os.O_WRONLY | os.O_CREAT, 0o600)
        self._flushes = Path(store or "/dev/null").is_file()

    def routes(self) -> list[BaseRoute]:
        return [Route("/parts/{number:int}", self.put, methods=["PUT"])]

    async def put(self, request: Request) -> Response:
        at, digest = (request.path_params["number"] - 1) * PART, hashlib.sha256()
        async for piece in request.stream():
            digest.update(piece)
            at += os.pwrite(self._file, piece, at)
        if self._flushes:
            await asyncio.to_thread(os.fdatasync, self._file)
        is_right = digest.hexdigest() == request.headers.get("x-content-sha256")
        return Response(status_code=200 if is_right else 409)
