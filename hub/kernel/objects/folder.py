"""The object store in a folder: a file for each key, private to the hub's user, whole or not there. Runs in threads."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hub.kernel.objects.protocol import CHUNK, ObjectMissingError, ObjectsError

_PART = ".part-"


class Folder:
    """A `Shelf` (hub.kernel.objects.protocol). Keys hold no dot folders: they are checked before they come here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, path: Path) -> None:
        place = self._root / key
        with _told():
            _make_private(place.parent)
            self._copy(path, place)

    def get(self, key: str, path: Path) -> None:
        with _told(), (self._root / key).open("rb") as source, _new(path) as target:
            shutil.copyfileobj(source, target, CHUNK)

    def delete(self, key: str) -> None:
        with _told():
            (self._root / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        with _told():
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
    """With the folders above it that are not there: `mkdir` gives its mode to the last of them alone."""
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
def _told() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(str(error.filename)) from error
    except OSError as error:
        raise ObjectsError(f"the folder of the objects: {error.strerror}") from error
