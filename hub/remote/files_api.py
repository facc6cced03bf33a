"""/rvms/{id}/remote-access/files: files of a machine within a session. Bytes stream through, never held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from db.records import RemoteSessionRow
from hub.model.changes import EventHappened
from hub.remote.pages_api import held
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import SessionStream, TunnelError
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, one_wrong
from hub.web.http.validation import Row
from protocol.limits import MAX_FILE_PATH

MAX_LISTING_BYTES: Final = 4 * 1024 * 1024
BUSY_RETRY_S: Final = 5.0
Path = Annotated[
    str, msgspec.Meta(max_length=MAX_FILE_PATH, pattern=r"^[^\x00]*$(?![\n\x00])", extra={"expect": "remote_file.path"})
]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class FolderWanted(msgspec.Struct):
    """`path` "": the folders that the machine declares."""

    path: Path = ""
    session_id: Row | None = None


class FileWanted(msgspec.Struct):
    """`offset`: where to go on with a broken download."""

    path: Path
    offset: Offset = 0
    session_id: Row | None = None


class UploadQuery(msgspec.Struct):
    """`path`: on the machine. `overwrite`: replace an existing file."""

    path: Path
    overwrite: bool = False
    session_id: Row | None = None


class FolderEntry(msgspec.Struct):
    """`mtime`: seconds since 1970. `download`, `upload`: of declared folders. `unreachable`: the name has control
    characters, or bytes that are no UTF-8, which no path can hold."""

    name: str
    kind: Literal["file", "folder"]
    size: int | None = None
    mtime: float | None = None
    download: bool | None = None
    upload: bool | None = None
    unreachable: bool | None = None


class MachineFolder(msgspec.Struct):
    """`truncated`: the machine has more entries."""

    path: str
    entries: list[FolderEntry]
    truncated: bool
    upload: bool


class FileSaved(msgspec.Struct):
    """`sha256` of the machine's file, in hexadecimal."""

    path: str
    size: int
    sha256: str


async def list_folder(call: Call) -> Answer:
    wanted: FolderWanted = call.body
    _, stream = await _open(call, wanted.session_id, {"op": "list", "path": wanted.path})
    try:
        raw = bytearray()
        while data := await stream.receive():
            raw += data
            if len(raw) > MAX_LISTING_BYTES:
                raise _machine_failed("too_long")
        entries = msgspec.json.decode(bytes(raw), type=list[FolderEntry])
    except TunnelError as broken:
        raise refused(broken) from broken
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as strange:
        raise _machine_failed("not_understood") from strange
    finally:
        stream.reset("done")
    info = stream.info
    folder = MachineFolder(
        path=str(info.get("path", wanted.path)), entries=entries, truncated=info.get("truncated") is True,
        upload=info.get("upload") is True,
    )  # fmt: skip
    return Answer(msgspec.to_builtins(folder))


async def download(call: Call) -> Answer:
    wanted: FileWanted = call.body
    session, stream = await _open(call, wanted.session_id, {"op": "get", "path": wanted.path, "offset": wanted.offset})
    try:
        size = _size(stream.info)
        await _record(call, session, "remote.file_downloaded", {"path": wanted.path, "size": size})
    except BaseException:
        stream.reset("done")
        raise
    name = str(stream.info.get("name") or wanted.path.rpartition("/")[2] or "file")
    return Answer(FileDownload(stream, name=name, size=max(0, size - wanted.offset)))


async def upload(call: Call) -> Answer:
    wanted: UploadQuery = call.query
    size = announced_size(call.request)
    args = {"op": "put", "path": wanted.path, "size": size, "overwrite": wanted.overwrite}
    session, stream = await _open(call, wanted.session_id, args)
    params: dict[str, Any] = {"path": wanted.path, "size": size}
    sending = Upload(stream, size)
    try:
        saved = await sending.run(call.request)
    except TunnelError as broken:
        if sending.complete and broken.code in _MAYBE_SAVED:
            # The machine has all of it, and its answer is lost.
            await _record(call, session, "remote.file_uploaded", params | {"confirmed": False})
        raise refused(broken) from broken
    finally:
        stream.reset("done")
    await _record(call, session, "remote.file_uploaded", params | {"sha256": saved})
    return Answer(msgspec.to_builtins(FileSaved(path=wanted.path, size=size, sha256=saved)), 201)


def refused(error: TunnelError) -> Problem:
    code = error.code
    if code in ("not_declared", "not_found", "invalid", "exists"):
        wrong = one_wrong("path", f"remote_file.{code}")
        wrong.code = code
        return wrong
    if code in ("too_large", "disk", "changed", "no_rights", "folder_changed"):
        return Problem("conflict", Text(f"remote_file.{code}"))
    if code in ("no_tunnel", "timeout"):
        return Problem("unavailable", Text("remote_use.no_tunnel"), retry_after=BUSY_RETRY_S)
    if code == "not_allowed":
        return Problem("conflict", Text("remote_use.without_files"))
    return _machine_failed(code)


_MAYBE_SAVED: Final = frozenset({"no_tunnel", "timeout", "session_over", "ended", "link_lost"})


def _machine_failed(code: str) -> Problem:
    plain = "".join(c for c in code[:40] if c.isascii() and (c.isalnum() or c == "_"))
    return Problem("conflict", Text("remote_use.machine", {"code": plain or "internal"}))


async def _open(call: Call, session_id: int | None, args: dict[str, Any]) -> tuple[RemoteSessionRow, SessionStream]:
    session = held(call, "files", session_id)
    try:
        return session, await call.context[Tunnels].open(session.id, "file", args)
    except TunnelError as error:
        raise refused(error) from error


def _size(info: Mapping[str, Any]) -> int:
    size = info.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= 2**53:
        raise _machine_failed("not_understood")
    return size


async def _record(call: Call, session: RemoteSessionRow, code: str, params: dict[str, Any]) -> None:
    await call.context.announce(
        EventHappened(
            at=call.context.clock(), code=code, actor=call.principal.actor, rvm_id=call.machine.id,
            params={"session_id": session.id, **params},
        )
    )  # fmt: skip


_TAG: Final = "Remote access"

OPERATIONS = (
    Operation(
        name="list_machine_files", method="POST", path="/v2/rvms/{id}/remote-access/files/list", handler=list_folder,
        tag=_TAG, summary="What a declared folder of the machine holds", action="remote.use", body=FolderWanted,
        answers={200: MachineFolder}, refusals=(409,), example={"path": ""},
        description="For the holder of an active lease that allows files. Without a path: the declared folders.",
    ),
    Operation(
        name="download_machine_file", method="POST", path="/v2/rvms/{id}/remote-access/files/download",
        handler=download, tag=_TAG, summary="Take a file out of the machine", action="remote.use", body=FileWanted,
        answers={200: bytes}, refusals=(409,), example={"path": "/var/log/rvm/camera.log"},
        other_media=("application/octet-stream",),
        description="The body is the file. Recorded before its first byte leaves.",
    ),
    Operation(
        name="upload_machine_file", method="POST", path="/v2/rvms/{id}/remote-access/files/upload", handler=upload,
        tag=_TAG, summary="Put a file into a declared folder of the machine", action="remote.use", query=UploadQuery,
        answers={201: FileSaved}, refusals=(400, 409, 413),
        description="The body is the file, of any Content-Type, with its Content-Length. It appears under its name "
        "when all of it is on the machine's disk, or not at all.",
    ),
)  # fmt: skip


MAX_FILE_BYTES: Final = 8 * 1024**3  # The hub's own cap; the machine's (remote_file_limit_mib) is smaller
STALLED_S: Final = 30.0  # Without a byte of the body
MOST_LETTERS: Final = 255  # Of a file's name; no file system has longer ones
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff/]")
"""No file's name may have these; all others travel percent-encoded."""
CLOSED: Final = {"Connection": "close"}  # The rest of an unread body would be in the way of the next request


def announced_size(request: Request) -> int:
    """In bytes. Raises Problem for none, or one that is too large."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or len(length) > 20:
        raise Problem("malformed", Text("remote_file.length", {"most": MAX_FILE_BYTES}), headers=CLOSED)
    if int(length) > MAX_FILE_BYTES:
        raise Problem("too-large", Text("remote_file.length", {"most": MAX_FILE_BYTES}), headers=CLOSED)
    return int(length)


class FileDownload(Response):
    """A sandboxed attachment. An answer that breaks off is left incomplete."""

    def __init__(self, stream: SessionStream, *, name: str, size: int) -> None:
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
                tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
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


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class Upload:
    """A request's body to the machine. `complete`: all was handed to the tunnel."""

    def __init__(self, stream: SessionStream, size: int) -> None:
        self._stream = stream
        self._size = size
        self.complete = False

    async def run(self, request: Request) -> str:
        """The machine's sha256. Raises Problem for a body of another size, TunnelError for a refusal."""
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
        while (values := await self._stream.controls()) is not None:
            digest = values.get("sha256")
            if values.get("saved") == self._size and isinstance(digest, str) and len(digest) == 64:
                return digest
        await self._stream.receive()  # raises what ended it, if that was no END
        raise TunnelError("internal", "the machine ended without an answer")
