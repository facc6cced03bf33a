"""Serves streams of kind `file`: a listing, a download, an upload. Files are opened by a process with the rights of
the terminal's user."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.remote.folders import DeclaredFolders
from device.remote.rules.folders import DeclaredPath, PathRefusedError, declared, locate
from device.remote.service_user import NoUserError, ServiceUser
from device.remote.session.file_process import FileProcess, OutgoingFile, Reception, Way
from device.remote.session.streams import DeviceStream, OpenSession, StreamGoneError

CHUNK: Final = 64 * 1024


class FileServer:
    """`limit`: bytes of one file; `visitor()`: the terminal's user (raises NoUserError)."""

    def __init__(self, folders: DeclaredFolders, limit: int, visitor: Callable[[], ServiceUser], log: Log) -> None:
        self._folders = folders
        self._download = folders.download
        self._upload = folders.upload
        self._limit = limit
        self._visitor = visitor
        self._log = log
        self._disk: WorkerThread | None = None
        self._process: FileProcess | None = None

    async def serve(self, stream: DeviceStream, session: OpenSession) -> None:
        who: dict[str, str | int] = {"session": session.id, "admin": session.admin, "address": session.admin_ip}
        path = str(stream.args.get("path", ""))
        doing = {"list": self._list, "get": self._get, "put": self._put}.get(str(stream.args.get("op")))
        if "files" not in session.allow:
            stream.refuse("not_allowed", "this session was not opened for files")
            return
        if doing is None:
            stream.refuse("invalid", "op: list, get or put")
            return
        try:
            await doing(stream, who)
        except PathRefusedError as refused:
            self._log("file_refused", path=path, code=refused.code, **who)
            stream.refuse(refused.code, str(refused))
        except StreamGoneError:
            return

    def close(self) -> None:
        if self._process is not None:
            self._process.hang_up()
        if self._disk is not None:
            self._disk.post(self._end)
            self._disk.stop()
            self._disk = None

    @property
    def _worker(self) -> WorkerThread:
        if self._disk is None:
            self._disk = WorkerThread("files")
        return self._disk

    def _opener(self) -> FileProcess:
        if self._process is not None and not self._process.is_alive():
            self._end()
        if self._process is None:
            try:
                self._process = FileProcess(self._visitor())
            except NoUserError as nobody:
                raise PathRefusedError("no_rights", str(nobody)) from nobody
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _way(self, place: DeclaredPath) -> Way:
        return Way(self._opener(), self._folders.pin(place.folder), place.parts)

    def _listing(self, place: DeclaredPath) -> dict[str, Any]:
        return self._way(place).ask("list")[0]

    async def _list(self, stream: DeviceStream, _who: dict[str, str | int]) -> None:
        path = stream.args.get("path", "")
        if path in ("", "/"):
            entries, more, place = self._roots(), False, None
        else:
            place = locate(path, (*self._download, *self._upload))
            found = await self._worker.call(self._listing, place)
            entries, more = found["entries"], found["more"]
        stream.accept({
            "path": path if place is not None else "",
            "count": len(entries),
            "truncated": more,
            "download": place is not None and _within(path, self._download),
            "upload": place is not None and _within(path, self._upload),
        })  # fmt: skip
        await stream.send(json.dumps(entries).encode())
        await stream.finish()

    def _roots(self) -> list[dict[str, Any]]:
        folders = dict.fromkeys(
            "/" + "/".join(parts) for f in (*self._download, *self._upload) if (parts := declared(f))
        )
        return [
            {"name": f, "kind": "folder", "download": _within(f, self._download), "upload": _within(f, self._upload)}
            for f in folders
        ]

    async def _get(self, stream: DeviceStream, who: dict[str, str | int]) -> None:
        place = locate(stream.args.get("path"), self._download)
        offset = _whole(stream.args.get("offset", 0), "offset")
        reading = OutgoingFile(partial(self._way, place), self._limit)
        try:
            await self._worker.call(reading.begin)
            if offset > reading.size:
                raise PathRefusedError("invalid", f"offset: the file has {reading.size} bytes")
            stream.accept({"size": reading.size, "mtime": reading.mtime, "name": place.name, "offset": offset})
            self._log("file_got", path=_shown(place), **who)
            await self._send(stream, reading, offset)
        finally:
            self._worker.post(reading.end)

    async def _send(self, stream: DeviceStream, reading: OutgoingFile, offset: int) -> None:
        """As many bytes as it had when opened."""
        while offset < reading.size:
            try:
                data = await self._worker.call(reading.read, min(CHUNK, reading.size - offset), offset)
            except OSError:
                stream.reset("disk", "the machine's disk gives no more of it")
                return
            if not data:
                stream.reset("changed", "the file became shorter while it was read")
                return
            await stream.send(data)
            offset += len(data)
        await stream.finish()

    async def _put(self, stream: DeviceStream, who: dict[str, str | int]) -> None:
        place = locate(stream.args.get("path"), self._upload)
        size = _whole(stream.args.get("size"), "size")
        if size > self._limit:
            raise PathRefusedError("too_large", f"{self._limit} bytes are allowed")
        reception = Reception(partial(self._way, place), size, overwrite=stream.args.get("overwrite") is True)
        try:
            await self._worker.call(reception.begin)
            stream.accept({"limit": self._limit})
            await self._receive(stream, reception)
            if reception.is_kept:
                self._log("file_put", path=_shown(place), **who)
        finally:
            self._worker.post(reception.drop)

    async def _receive(self, stream: DeviceStream, reception: Reception) -> None:
        try:
            while data := await stream.receive():
                await self._worker.call(reception.write, data)
            digest = await self._worker.call(reception.keep)
        except PathRefusedError as refused:  # after the acceptance it can only be reset
            stream.reset(refused.code, str(refused))
            return
        stream.control({"saved": reception.received, "sha256": digest})
        await stream.finish()


def _within(path: object, folders: Sequence[str]) -> bool:
    try:
        locate(path, folders)
    except PathRefusedError:
        return False
    return True


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PathRefusedError("invalid", f"{name}: a whole number of bytes")
    return value


def _shown(place: DeclaredPath) -> str:
    return "/".join((place.folder, *place.parts))
