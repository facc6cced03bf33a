"""A file between a browser and a machine's stream: as a response that streams, and as a request's body that does."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.flow.tunnel_error import TunnelError
from hub.flow.tunnel_stream import TunnelStream
from hub.web.problems import Problem, Text

MAX_FILE_BYTES: Final = 8 * 1024**3
"""The hub's own cap; the machine's (remote_file_limit_mib) is smaller."""
STALLED_S: Final = 30.0
"""A body of which nothing at all arrives for so long will not be waited for."""
MOST_LETTERS: Final = 255
"""Of a file's name; no file system has longer ones."""
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff/]")
"""What no name of a file may have here. Every other letter is the machine's business, and travels percent-encoded."""
CLOSED: Final = {"Connection": "close"}
"""What was not read of a body stands in the way of the next request."""


def announced_size(request: Request) -> int:
    """Of the body, in bytes. Raises Problem when it is not said, or too large."""
    said = request.headers.get("content-length", "")
    if not (said.isascii() and said.isdigit()) or len(said) > 20:
        raise Problem("malformed", Text("remote_file.length", {"most": MAX_FILE_BYTES}), headers=CLOSED)
    if int(said) > MAX_FILE_BYTES:
        raise Problem("too-large", Text("remote_file.length", {"most": MAX_FILE_BYTES}), headers=CLOSED)
    return int(said)


class FileDownload(Response):
    """The file as an attachment that no browser opens in our name. An answer that breaks off is left incomplete."""

    def __init__(self, stream: TunnelStream, *, name: str, size: int) -> None:
        whole = _UNFIT.sub("_", name)[:MOST_LETTERS] or "file"
        ascii_only = "".join(c if " " <= c <= "~" and c not in '\\"%' else "_" for c in whole)
        super().__init__(
            headers={
                "Content-Disposition": f"attachment; filename=\"{ascii_only}\"; filename*=UTF-8''{quote(whole)}",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "X-Accel-Buffering": "no",
            },
            media_type="application/octet-stream",
        )
        self.headers["Content-Length"] = str(size)
        self._stream = stream
        self._size = size

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_gone, receive, tasks.cancel_scope)
                await self._send_all(send)
                tasks.cancel_scope.cancel()
        finally:
            self._stream.reset("done")

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = self._size
        try:
            while left and (data := await self._stream.receive()):
                part = data[:left]
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except TunnelError:
            return
        if not left:
            await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class Upload:
    """A request's body to the machine. `complete` when all of it was handed to the tunnel."""

    def __init__(self, stream: TunnelStream, size: int) -> None:
        self._stream = stream
        self._size = size
        self.complete = False

    async def run(self, request: Request) -> str:
        """The sha256 that the machine tells of what it has saved. Raises Problem for a body that is not what was
        announced, TunnelError for what the machine or the tunnel says."""
        sent = 0
        parts = request.stream()
        try:
            while True:
                with anyio.fail_after(STALLED_S):
                    part = await anext(parts, None)
                if part is None:
                    break
                sent += len(part)
                if sent > self._size:
                    raise Problem("malformed", Text("remote_file.broke_off"), headers=CLOSED)
                if part:
                    await self._stream.send(part)
        except TimeoutError as slow:
            raise Problem("malformed", Text("remote_file.slow", {"count": int(STALLED_S)}), headers=CLOSED) from slow
        except ClientDisconnect as gone:
            raise Problem("malformed", Text("remote_file.broke_off")) from gone
        if sent != self._size:
            raise Problem("malformed", Text("remote_file.broke_off"), headers=CLOSED)
        self.complete = True
        await self._stream.finish()
        return await self._saved()

    async def _saved(self) -> str:
        while (word := await self._stream.controls()) is not None:
            digest = word.get("sha256")
            if word.get("saved") == self._size and isinstance(digest, str) and len(digest) == 64:
                return digest
        await self._stream.receive()  # raises what ended it, if that was no END
        raise TunnelError("internal", "the machine ended without a word")
