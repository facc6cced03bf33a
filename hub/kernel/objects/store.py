"""The object store: bytes under a key, in a folder or in an S3-compatible service. Knows nothing of what they mean.

Every call works in a few threads of its own and ends within a known time. What is stored is read back and compared
before `put_file` returns. A key is made by the hub and never by a person or a machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from hub.kernel.objects.folder import Folder
from hub.kernel.objects.protocol import CHUNK, ObjectDamagedError, ObjectsError, Shelf
from hub.settings import Settings

THREADS: Final = 4
"""At once, so that a store that hangs holds no more of the hub."""
PATIENCE_S: Final = 600.0
"""The longest one object may take, in either direction."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*(?:\.[a-z0-9]+)*")

T = TypeVar("T")


class Objects:
    """The one face of either kind."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._threads = anyio.CapacityLimiter(THREADS)

    async def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Store the file's bytes under `key`, over what was there. When this returns the store has given them back
        once, and they had that sha256."""
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
        """Fetch an object into a new file; it is there only when the bytes have that sha256."""
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
        """Every key that begins so."""
        return await self._run(lambda: self._shelf.keys(prefix))

    async def _run(self, job: Callable[[], T]) -> T:
        try:
            with anyio.fail_after(PATIENCE_S):
                return await anyio.to_thread.run_sync(job, limiter=self._threads, abandon_on_cancel=True)
        except TimeoutError as error:
            raise ObjectsError("the object store does not answer") from error


def open_objects(settings: Settings) -> Objects:
    """The store that the settings name. Imports the S3 client only where it is used; connects to nothing yet."""
    place = settings.s3
    if place is None:
        return Objects(Folder(settings.objects_dir))
    from hub.kernel.objects.s3 import Bucket

    return Objects(Bucket(place, settings.s3_access_key, settings.s3_secret_key))


def digest(path: Path) -> str:
    """The sha256 of a file. Raises ObjectsError."""
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
