"""Stores bytes under a key, in a folder or in an S3-compatible service. Knows nothing of what they mean.

Works in a few threads of its own and ends within a known time. Keys are made by the hub, never by a person or a
machine; in a folder each is a file, private to the hub's user, whole or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import anyio
import anyio.to_thread

from hub.kernel.objects.place import CHUNK, ObjectDamagedError, ObjectMissingError, ObjectsError, Shelf
from hub.settings import Settings

THREADS: Final = 4
"""So that a store that hangs holds no more of the hub."""
PATIENCE_S: Final = 600.0
"""Of one object, in either direction."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*(?:\.[a-z0-9]+)*")

T = TypeVar("T")


class Objects:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._threads = anyio.CapacityLimiter(THREADS)

    async def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Over what was there. When this returns the store has given the bytes back once, and they had that sha256."""
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

    async def _run(self, job: Callable[[], T]) -> T:
        try:
            with anyio.fail_after(PATIENCE_S):
                return await anyio.to_thread.run_sync(job, limiter=self._threads, abandon_on_cancel=True)
        except TimeoutError as error:
            raise ObjectsError("the object store does not answer") from error


def open_objects(settings: Settings) -> Objects:
    """Imports the S3 client only where it is used; connects to nothing yet."""
    place = settings.s3
    if place is None:
        return Objects(FolderShelf(settings.objects_dir))
    from hub.kernel.objects.s3 import BucketShelf

    return Objects(BucketShelf(place, settings.s3_access_key, settings.s3_secret_key))


def digest(path: Path) -> str:
    """Raises ObjectsError."""
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


def _check(key: str) -> None:
    if not _KEY.fullmatch(key) or len(key) > 200:
        raise ValueError(f"no key: {key!r}")


_PART = ".part-"


class FolderShelf:
    """A `Shelf`. Keys hold no dot folders: they are checked before they come here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, path: Path) -> None:
        place = self._root / key
        with _as_objects_error():
            _make_private(place.parent)
            self._copy(path, place)

    def get(self, key: str, path: Path) -> None:
        with _as_objects_error(), (self._root / key).open("rb") as source, _new(path) as target:
            shutil.copyfileobj(source, target, CHUNK)

    def delete(self, key: str) -> None:
        with _as_objects_error():
            (self._root / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        with _as_objects_error():
            files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_PART))
            names = (path.relative_to(self._root).as_posix() for path in files)
            return sorted(name for name in names if name.startswith(prefix))

    def _copy(self, path: Path, place: Path) -> None:
        number, part = tempfile.mkstemp(prefix=_PART, dir=place.parent)
        try:
            with path.open("rb") as source, os.fdopen(number, "wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
                target.flush()
                os.fsync(target.fileno())
            Path(part).replace(place)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)


def _make_private(folder: Path) -> None:
    """With the folders above it: `mkdir` gives its mode to the last of them alone."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def _as_objects_error() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(str(error.filename)) from error
    except OSError as error:
        raise ObjectsError(f"the folder of the objects: {error.strerror}") from error
