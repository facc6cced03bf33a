"""Stores bytes under a key, in a folder or an S3-compatible service, in a few threads and within a known time. Keys
are the hub's."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import re
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import anyio

from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import (
    CHUNK,
    MAX_PARTS,
    PART_SIZE,
    PIECE_SIZE,
    ObjectDamagedError,
    ObjectsError,
    Shelf,
    Sum,
    UnfinishedUpload,
)  # fmt: skip
from hub.kernel.objects.threads import ObjectThreads
from hub.settings import Settings

THREADS: Final = 8
"""So that a store that hangs holds no more of the hub."""
DIGESTS: Final = 2
"""Of those threads, leaving room for parts."""
PATIENCE_S: Final = 600.0
PART_PATIENCE_S: Final = 120.0
"""Of one part: 560 kbit/s."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*(?:\.[a-z0-9]+)*")
_UPLOAD_ID: Final = re.compile(r"[^/\x00-\x20]{1,1000}")

T = TypeVar("T")


class Objects:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._threads = ObjectThreads(THREADS)
        self._digests = anyio.CapacityLimiter(DIGESTS)

    @property
    def threads_taken(self) -> int:
        return self._threads.taken

    async def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Replaces. The store has given the bytes back once, with that sha256."""
        _check(key)

        def store() -> None:
            _must_be(path, sha256, f"{path.name} is not what was finished")
            self._shelf.put(key, path)
            returned = path.with_name(f"{path.name}.returned")
            try:
                self._shelf.get(key, returned)
                _must_be(returned, sha256, f"the store gave back other bytes for {key}")
            finally:
                returned.unlink(missing_ok=True)

        await self._run(store)

    async def get_file(self, key: str, path: Path, sha256: str) -> None:
        """The new file is there only when the bytes have that sha256."""
        _check(key)

        def fetch() -> None:
            try:
                self._shelf.get(key, path)
                _must_be(path, sha256, f"{key} is not what was stored")
            except BaseException:
                path.unlink(missing_ok=True)
                raise

        await self._run(fetch)

    async def delete(self, key: str) -> None:
        _check(key)
        await self._run(lambda: self._shelf.delete(key))

    async def list(self, prefix: str) -> list[str]:
        return await self._run(lambda: self._shelf.keys(prefix))

    async def size(self, key: str) -> int:
        _check(key)
        return await self._run(lambda: self._shelf.size(key))

    async def begin(self, key: str) -> str:
        """Id of a new upload in parts. The key's object stays until `complete`."""
        _check(key)
        return await self._run(lambda: self._shelf.begin(key))

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes | memoryview) -> str:
        """Its tag, when durable. `number` from 1, in any order, several at once; a repeated one replaces the former.
        All but the last have PART_SIZE. `data` must not change."""
        _check(key, upload_id)
        if not 1 <= number <= MAX_PARTS or not 0 < len(data) <= PART_SIZE:
            raise ValueError(f"no part: {number} of {len(data)} bytes")
        return await self._run(lambda: self._shelf.put_part(key, upload_id, number, data), PART_PATIENCE_S)

    @property
    def piece_size(self) -> int:
        """Of a part that breaks off, so many bytes (and multiples) stay; PART_SIZE: nothing does."""
        return PIECE_SIZE if isinstance(self._shelf, FolderShelf) else PART_SIZE

    def part_writer(self, key: str, upload_id: str, number: int, at: int = 0) -> PartWriter:
        """`at`: behind what `begun_part` is the sum of."""
        _check(key, upload_id)
        if not 1 <= number <= MAX_PARTS or at % self.piece_size:
            raise ValueError(f"no part: {number}, or not from {at} on")
        return PartWriter(self._shelf, self._threads, key, upload_id, number, at)

    async def begun_part(self, key: str, upload_id: str, number: int, size: int) -> Sum:
        """Of the first `size` bytes that are there of a part; of nothing where the store keeps whole parts only."""
        _check(key, upload_id)
        shelf = self._shelf
        if not isinstance(shelf, FolderShelf):
            return hashlib.sha256()
        return await self._run(lambda: shelf.begun_part(key, upload_id, number, size), PART_PATIENCE_S)

    async def complete(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
        """All parts (number and tag, from 1 without a gap). Raises ObjectMissingError when there is no such upload:
        after a lost answer `size` shows whether the object is there."""
        _check(key, upload_id)
        if [number for number, _ in parts] != list(range(1, len(parts) + 1)) or not parts:
            raise ValueError("the parts have gaps")
        await self._run(lambda: self._shelf.complete(key, upload_id, parts))

    async def abort(self, key: str, upload_id: str) -> None:
        _check(key, upload_id)
        await self._run(lambda: self._shelf.abort(key, upload_id))

    async def probe(self) -> None:
        await self.list("probe/")
        await self.abort("probe", await self.begin("probe"))

    async def uploads(self, prefix: str) -> Sequence[UnfinishedUpload]:
        return await self._run(lambda: self._shelf.uploads(prefix))

    async def sweep(self, prefix: str, before: datetime, in_use: Container[str]) -> int:
        """Aborts uploads begun before that and not `in_use` (ids); returns how many."""
        swept = 0
        for upload in await self.uploads(prefix):
            if upload.began_at < before and upload.upload_id not in in_use:
                await self._run(functools.partial(self._shelf.abort, upload.key, upload.upload_id))
                swept += 1
        return swept

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Pieces of up to CHUNK. Holds a thread only during a read."""
        _check(key)
        size = await self.size(key)
        wanted = max(0, min(size - offset, size if length is None else length))
        pieces = self._shelf.read(key, offset, wanted)
        try:
            while wanted:
                piece = await self._run(lambda: next(pieces, b""))
                if not piece:
                    raise ObjectDamagedError(f"{key} ends early")
                wanted -= len(piece)
                yield piece
        finally:
            with contextlib.suppress(ValueError):  # a thread that hangs has it, and closes it
                pieces.close()

    async def digest(self, key: str, parts: Sequence[str] = ()) -> str:
        """Of the stored bytes; two at a time. Raises ObjectDamagedError where `parts`, the sha256 of each, are not
        what is stored."""
        _check(key)

        def read() -> str:
            found, size = hashlib.sha256(), self._shelf.size(key)
            length = PART_SIZE if parts else max(1, size)
            for number, place in enumerate(range(0, size, length)):
                part = hashlib.sha256()
                for piece in self._shelf.read(key, place, min(length, size - place)):
                    found.update(piece)
                    if parts:
                        part.update(piece)
                if parts and parts[number : number + 1] != [part.hexdigest()]:
                    raise ObjectDamagedError(f"part {number + 1} of {key} is not what was stored")
            return found.hexdigest()

        async with self._digests:
            return await self._run(read, math.inf)

    async def presign(self, key: str, file_name: str, expires_s: int) -> str | None:
        """A URL that gives everybody the object for so long. None: only the hub can read it."""
        _check(key)
        return await self._run(lambda: self._shelf.presign(key, file_name, expires_s))

    def local_path(self, key: str) -> Path | None:
        """Where the store is a folder. Only to be read."""
        _check(key)
        return self._shelf.local_path(key)

    async def _run(self, job: Callable[[], T], seconds: float = PATIENCE_S) -> T:
        return await self._threads.run(job, seconds)


SLICE: Final = 1024 * 1024


class PartWriter:
    """Takes a part in pieces, in order: in a folder they go to the disk as they come, else they are held until it is
    whole. What was written of an unfinished part is overwritten, or goes with its upload."""

    def __init__(
        self, shelf: Shelf, threads: ObjectThreads, key: str, upload_id: str, number: int, at: int = 0
    ) -> None:
        self.size = at
        self._shelf = shelf
        self._threads = threads
        self._upload = key, upload_id
        self._number = number
        # Bound: SLICE and a piece where the store is a folder, else PART_SIZE.
        self._held = bytearray()

    async def write(self, data: bytes | memoryview) -> None:
        """Raises ObjectsError, and ValueError beyond PART_SIZE."""
        self.size += len(data)
        if self.size > PART_SIZE:
            raise ValueError(f"part {self._number} is larger than a part")
        self._held += data
        if len(self._held) >= SLICE and isinstance(self._shelf, FolderShelf):
            await self._write(self._shelf)

    async def keep(self) -> None:
        """What was written stays, for `begun_part`, until the rest of the part comes. Raises ObjectsError."""
        if self._held and isinstance(self._shelf, FolderShelf):
            await self._write(self._shelf)

    async def finish(self) -> str:
        """Its tag, when all of it is durable. Raises ObjectsError."""
        shelf, (key, upload_id) = self._shelf, self._upload
        if not isinstance(shelf, FolderShelf):
            held = memoryview(self._held)
            return await self._threads.run(lambda: shelf.put_part(key, upload_id, self._number, held), PART_PATIENCE_S)
        if self._held:
            await self._write(shelf)
        await self._threads.run(lambda: shelf.sync(key, upload_id), PART_PATIENCE_S)
        return str(self.size)

    async def _write(self, shelf: FolderShelf) -> None:
        place, data = (self._number - 1) * PART_SIZE + self.size - len(self._held), self._held
        self._held = bytearray()
        await self._threads.run(lambda: shelf.write(*self._upload, place, data), PART_PATIENCE_S)


def open_objects(settings: Settings) -> Objects:
    """Imports the S3 client only where it is used; opens no connection."""
    place = settings.s3
    if place is None:
        return Objects(FolderShelf(settings.objects_dir))
    from hub.kernel.objects.s3 import BucketShelf

    return Objects(BucketShelf(place, settings.s3_access_key, settings.s3_secret_key))


def digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                found.update(part)
    except OSError as error:
        raise ObjectsError(f"cannot read {path.name}: {error.strerror}") from error
    return found.hexdigest()


def _must_be(path: Path, sha256: str, else_: str) -> None:
    if digest(path) != sha256:
        raise ObjectDamagedError(else_)


def _check(key: str, upload_id: str = "-") -> None:
    if not _KEY.fullmatch(key) or len(key) > 200:
        raise ValueError(f"no key: {key!r}")
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise ValueError(f"no upload: {upload_id!r}")
