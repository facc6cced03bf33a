"""One recording while its terminal is open: asciicast v2 lines, written by a task to the hub's disk. A disk that
refuses ends the terminal."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

import anyio
import anyio.to_thread
import msgspec

from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import digest

MEDIA_TYPE: Final = "application/x-asciicast"
OUTPUT: Final = "o"
INPUT: Final = "i"
RESIZE: Final = "r"


def header(*, cols: int, rows: int, began: int, term: str, title: str) -> bytes:
    """`began`: whole seconds of the epoch."""
    values = {"version": 2, "width": cols, "height": rows, "timestamp": began, "title": title, "env": {"TERM": term}}
    return _line(values)


class Cast:
    """Lines after the header. Times never go back, whatever the clock does."""

    def __init__(self) -> None:
        decoder: Callable[..., codecs.IncrementalDecoder] = codecs.getincrementaldecoder("utf-8")
        self._streams = {kind: decoder(errors="replace") for kind in (OUTPUT, INPUT)}
        self._at = 0.0

    def output(self, at: float, data: bytes) -> bytes:
        return self._text(OUTPUT, at, data)

    def typed(self, at: float, data: bytes) -> bytes:
        return self._text(INPUT, at, data)

    def resized(self, at: float, cols: int, rows: int) -> bytes:
        return self._event(at, RESIZE, f"{cols}x{rows}")

    def end(self, at: float) -> bytes:
        return b"".join(self._text(kind, at, b"", final=True) for kind in self._streams)

    def _text(self, kind: str, at: float, data: bytes, *, final: bool = False) -> bytes:
        text = self._streams[kind].decode(data, final)
        return self._event(at, kind, text) if text else b""

    def _event(self, at: float, kind: str, text: str) -> bytes:
        self._at = max(self._at, round(at, 6))
        return _line([self._at, kind, text])


class Extent(NamedTuple):
    size: int
    duration_s: float
    whole: bool


def extent(lines: Iterable[bytes]) -> Extent:
    """Up to the last whole line, after a killed writer."""
    size, duration, whole = 0, 0.0, False
    for line in lines:
        value = _read(line)
        if not (_is_event(value) if whole else isinstance(value, dict) and value.get("version") == 2):
            break
        duration = max(duration, float(value[0])) if whole else duration
        size, whole = size + len(line), True
    return Extent(size, duration, whole)


def _is_event(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], (int, float))


def _read(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line)
    except ValueError:
        return None


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


MOST: Final = 256 * 1024 * 1024  # Bytes of one recording; a terminal that shows more ends
MIB: Final = 1024 * 1024
FREE_MIB: Final = 256  # Left free on the hub's disk, for the database
MOST_PENDING: Final = 256 * 1024
PAUSE_S: Final = 0.1  # Between two writes: a killed hub loses no more than this

T = TypeVar("T")


class RecordingFailedError(Exception):
    """`code`: recording_failed or recording_full."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Quota:
    def __init__(self, left: int) -> None:
        self.left = left
        self.users = 0


class Finished(NamedTuple):
    size: int
    sha256: str
    duration_s: float


class RecordingFile:
    """`await begin()`, then `run` writes until `await finish()`."""

    def __init__(self, path: Path, header: bytes, quota: Quota, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._quota = quota
        self._header = header
        self._clock = clock
        self._cast = Cast()
        self._began = clock()
        self._pending = bytearray()  # Bound: MOST_PENDING bytes; the terminal waits
        self._size = 0
        self._work = anyio.Event()
        self._room = anyio.Event()
        self._file: BinaryIO | None = None
        self._failure: RecordingFailedError | None = None

    async def begin(self) -> None:
        self._file = await _disk(lambda: _new(self.path, self._header))
        self._size = len(self._header)

    def output(self, data: bytes) -> None:
        self._take(self._cast.output(self._now(), data))

    def typed(self, data: bytes) -> None:
        self._take(self._cast.typed(self._now(), data))

    def resized(self, cols: int, rows: int) -> None:
        self._take(self._cast.resized(self._now(), cols, rows))

    async def room(self) -> None:
        """Wait for the disk. Raises RecordingFailedError."""
        while self._failure is None and len(self._pending) > MOST_PENDING:
            self._room = anyio.Event()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = anyio.Event()
            await self._write()
            await anyio.sleep(PAUSE_S)

    async def finish(self) -> Finished:
        """Write and sync the rest, close. Raises RecordingFailedError."""
        duration = self._now()
        self._pending += self._cast.end(duration)
        file = self._file
        if file is None:
            raise RecordingFailedError("recording_failed", "the recording was never begun")
        failure = self._failure
        try:
            if failure is None:
                with contextlib.suppress(RecordingFailedError):
                    await self._write()
                failure = self._failure
            await _disk(lambda: os.fsync(file.fileno()))
        finally:
            self._file = None
            await _disk(file.close)
        if failure is not None and failure.code != "recording_full":
            raise failure  # its last line may be half a line: the keeper cuts it off
        return Finished(self._size, await whole(self.path), duration)

    def _now(self) -> float:
        return self._clock() - self._began

    def _take(self, line: bytes) -> None:
        self._pending += line
        if line:
            self._work.set()

    async def _write(self) -> None:
        data, file = bytes(self._pending), self._file
        self._pending.clear()
        try:
            if data and file is not None:
                await _disk(lambda: _added(self.path, file, data))
            self._size += len(data)
            self._quota.left -= len(data)
            if self._size > MOST:
                self._failure = RecordingFailedError("recording_full", f"it is longer than {MOST} bytes")
            elif self._quota.left <= 0:
                self._failure = RecordingFailedError("recording_full", "the machine has used up its share")
        except RecordingFailedError as failure:
            self._failure = failure
        self._room.set()
        if self._failure is not None:
            raise self._failure


async def has_room(folder: Path) -> None:
    await _disk(lambda: _check_room(folder))


async def whole(path: Path) -> str:
    """sha256 of a finished file. Raises RecordingFailedError."""
    try:
        return await anyio.to_thread.run_sync(digest, path)
    except ObjectsError as error:
        raise RecordingFailedError("recording_failed", str(error)) from error


async def _disk(job: Callable[[], T]) -> T:
    try:
        return await anyio.to_thread.run_sync(job)
    except OSError as error:
        raise RecordingFailedError("recording_failed", f"the recording cannot be written: {error.strerror}") from error


def _new(path: Path, header: bytes) -> BinaryIO:
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb", buffering=0)
    _append(file, header)
    return file


def _check_room(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < FREE_MIB * MIB:
        raise OSError(errno.ENOSPC, f"less than {FREE_MIB} MiB are free")


def _append(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _added(path: Path, file: BinaryIO, data: bytes) -> None:
    _check_room(path.parent)
    _append(file, data)
