"""The object store in a folder: each object a file, private to the hub's user, whole or absent. An upload is a file
beside it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, Final

from hub.kernel.objects.place import (
    CHUNK,
    PART_SIZE,
    ObjectDamagedError,
    ObjectMissingError,
    ObjectsError,
    ObjectsFullError,
    Sum,
    UnfinishedUpload,
)  # fmt: skip
from hub.kernel.objects.threads import moved

_PART: Final = ".part-"
_NAMELESS: Final = "unnamed"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderShelf:
    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, path: Path) -> None:
        with _as_objects_error():
            upload_id = self.begin(key)
            try:
                with path.open("rb") as source, self._part(key, upload_id).open("r+b") as target:
                    _copy(source, target)
                    target.flush()
                    os.fsync(target.fileno())
                self._finish(key, upload_id)
            except BaseException:
                self.abort(key, upload_id)
                raise

    def get(self, key: str, path: Path) -> None:
        with _as_objects_error(), (self._root / key).open("rb") as source, _new(path) as target:
            _copy(source, target)

    def delete(self, key: str) -> None:
        with _as_objects_error():
            (self._root / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        with _as_objects_error():
            files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_PART))
            names = (path.relative_to(self._root).as_posix() for path in files)
            return sorted(name for name in names if name.startswith(prefix))

    def size(self, key: str) -> int:
        with _as_objects_error():
            return (self._root / key).stat().st_size

    def read(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        with _as_objects_error(), (self._root / key).open("rb") as file:
            file.seek(offset)
            while length and (data := file.read(min(length, CHUNK))):
                length -= len(data)
                moved()
                yield data

    def begin(self, key: str) -> str:
        upload_id = secrets.token_hex(8)
        with _as_objects_error():
            _make_private((self._root / key).parent)
            _new(self._part(key, upload_id)).close()
            _sync_folder((self._root / key).parent)
        return upload_id

    def put_part(self, key: str, upload_id: str, number: int, data: bytes | memoryview) -> str:
        """Durable on return."""
        with _as_objects_error(), self._part(key, upload_id).open("r+b", buffering=0) as file:
            place, left = (number - 1) * PART_SIZE, memoryview(data)
            while left:
                written = os.pwrite(file.fileno(), left[:CHUNK], place)
                place, left = place + written, left[written:]
                moved()
            os.fdatasync(file.fileno())
        return str(len(data))

    def write(self, key: str, upload_id: str, place: int, data: bytes | bytearray) -> None:
        with _as_objects_error(), self._part(key, upload_id).open("r+b", buffering=0) as file:
            left = memoryview(data)
            while left:
                written = os.pwrite(file.fileno(), left, place)
                place, left = place + written, left[written:]
                moved()

    def begun_part(self, key: str, upload_id: str, number: int, size: int) -> Sum:
        """The sha256 of the first `size` bytes at that part's place, whoever wrote them."""
        found, place = hashlib.sha256(), (number - 1) * PART_SIZE
        with _as_objects_error(), self._part(key, upload_id).open("rb") as file:
            file.seek(place)
            while size and (data := file.read(min(size, CHUNK))):
                size -= len(data)
                found.update(data)
                moved()
        return found

    def sync(self, key: str, upload_id: str) -> None:
        with _as_objects_error(), self._part(key, upload_id).open("r+b", buffering=0) as file:
            os.fdatasync(file.fileno())

    def complete(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
        with _as_objects_error():
            part = self._part(key, upload_id)
            size = sum(int(tag) for _, tag in parts)
            if part.stat().st_size < size:
                raise ObjectDamagedError(f"parts of {key} are missing")
            os.truncate(part, size)  # Of a last part that was sent longer before
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            self._finish(key, upload_id)

    def abort(self, key: str, upload_id: str) -> None:
        with _as_objects_error():
            for part in (self._part(key, upload_id), (self._root / key).with_name(_PART + upload_id)):
                part.unlink(missing_ok=True)

    def uploads(self, prefix: str) -> list[UnfinishedUpload]:
        with _as_objects_error():
            found = [self._unfinished(path) for path in self._root.rglob(f"{_PART}*")]
            return sorted(each for each in found if each is not None and each.key.startswith(prefix))

    def presign(self, key: str, file_name: str, expires_s: int) -> str | None:  # noqa: ARG002 - a Shelf's
        return None

    def local_path(self, key: str) -> Path | None:
        return self._root / key

    def _part(self, key: str, upload_id: str) -> Path:
        place = self._root / key
        return place.with_name(f"{_PART}{upload_id}.{place.name}")

    def _unfinished(self, path: Path) -> UnfinishedUpload | None:
        """None: finished or gone. Older hubs' have no name."""
        upload_id, _, name = path.name.removeprefix(_PART).partition(".")
        with contextlib.suppress(FileNotFoundError):
            began_at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            return UnfinishedUpload(
                path.with_name(name or _NAMELESS).relative_to(self._root).as_posix(), upload_id, began_at
            )
        return None

    def _finish(self, key: str, upload_id: str) -> None:
        self._part(key, upload_id).replace(self._root / key)
        _sync_folder((self._root / key).parent)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while data := source.read(CHUNK):
        target.write(data)
        moved()


def _make_private(folder: Path) -> None:
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(missing.parent)


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
        kind = ObjectsFullError if error.errno in _FULL else ObjectsError
        raise kind(f"the folder of the objects: {error.strerror}") from error
