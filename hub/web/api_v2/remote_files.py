"""/rvms/{id}/remote-access/files: files of a machine within a lease. Bytes stream through and are never held here;
which folders there are is the machine's own decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from hub.core.changes import EventHappened
from hub.core.remote_changes import RemoteSession
from hub.flow.tunnel_error import TunnelError
from hub.flow.tunnel_stream import TunnelStream
from hub.web.api_v2.file_stream import FileDownload, Upload, announced_size
from hub.web.api_v2.kinds import Row
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.api_v2.remote_pages import held
from hub.web.problems import Problem, Text, one_wrong
from protocol.limits import MAX_FILE_PATH

MAX_LISTING_BYTES: Final = 4 * 1024 * 1024
BUSY_RETRY_S: Final = 5.0
Path = Annotated[
    str, msgspec.Meta(max_length=MAX_FILE_PATH, pattern=r"^[^\x00]*$(?![\n\x00])", extra={"expect": "remote_file.path"})
]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class FolderWanted(msgspec.Struct):
    """`path` "" names the folders that the machine declares."""

    path: Path = ""
    session_id: Row | None = None


class FileWanted(msgspec.Struct):
    """`offset`: where to go on, after a download that broke off."""

    path: Path
    offset: Offset = 0
    session_id: Row | None = None


class UploadQuery(msgspec.Struct):
    """`path`: the file as it will be called on the machine. `overwrite`: replace one that is there."""

    path: Path
    overwrite: bool = False
    session_id: Row | None = None


class FolderEntry(msgspec.Struct):
    """`mtime` in seconds since 1970. `download` and `upload` are said of declared folders. `unreachable`: the name has
    control characters, or bytes that are no UTF-8, which no path can hold; it is shown as far as it can be."""

    name: str
    kind: Literal["file", "folder"]
    size: int | None = None
    mtime: float | None = None
    download: bool | None = None
    upload: bool | None = None
    unreachable: bool | None = None


class Folder(msgspec.Struct):
    """`truncated`: there is more than the machine tells of at once."""

    path: str
    entries: list[FolderEntry]
    truncated: bool
    upload: bool


class FileSaved(msgspec.Struct):
    """`sha256` of what is on the machine's disk now, in hexadecimal."""

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
    folder = Folder(
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
    said: dict[str, Any] = {"path": wanted.path, "size": size}
    sending = Upload(stream, size)
    try:
        saved = await sending.run(call.request)
    except TunnelError as broken:
        if sending.complete and broken.code in _MAYBE_SAVED:
            # The machine has all of it and was cut off before it could say what became of it.
            await _record(call, session, "remote.file_uploaded", said | {"confirmed": False})
        raise refused(broken) from broken
    finally:
        stream.reset("done")
    await _record(call, session, "remote.file_uploaded", said | {"sha256": saved})
    return Answer(msgspec.to_builtins(FileSaved(path=wanted.path, size=size, sha256=saved)), 201)


def refused(error: TunnelError) -> Problem:
    """Why the machine, or the tunnel, did not do it."""
    code = error.code
    if code in ("not_declared", "not_found", "invalid", "exists"):
        return one_wrong("path", f"remote_file.{code}")
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


async def _open(call: Call, session_id: int | None, args: dict[str, Any]) -> tuple[RemoteSession, TunnelStream]:
    session = held(call, "files", session_id)
    try:
        return session, await call.context.tunnels.open(session.id, "file", args)
    except TunnelError as error:
        raise refused(error) from error


def _size(info: Mapping[str, Any]) -> int:
    size = info.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= 2**53:
        raise _machine_failed("not_understood")
    return size


async def _record(call: Call, session: RemoteSession, code: str, params: dict[str, Any]) -> None:
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
        answers={200: Folder}, refusals=(409,), example={"path": ""},
        description="For the holder of an active lease that allows files. Without a path: the declared folders.",
    ),
    Operation(
        name="download_machine_file", method="POST", path="/v2/rvms/{id}/remote-access/files/download",
        handler=download, tag=_TAG, summary="Take a file out of the machine", action="remote.use", body=FileWanted,
        answers={200: bytes}, refusals=(409,), example={"path": "/var/log/rvm/camera.log"},
        other_media=("application/octet-stream",),
        description="The body is the file. On record before its first byte leaves.",
    ),
    Operation(
        name="upload_machine_file", method="POST", path="/v2/rvms/{id}/remote-access/files/upload", handler=upload,
        tag=_TAG, summary="Put a file into a declared folder of the machine", action="remote.use", query=UploadQuery,
        answers={201: FileSaved}, refusals=(400, 409, 413),
        description="The body is the file, of any Content-Type, with its Content-Length. It appears under its name "
        "when all of it is on the machine's disk, or not at all.",
    ),
)  # fmt: skip
