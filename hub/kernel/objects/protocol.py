"""What any kind of object store is to the hub, and how one fails. Says nothing of where the bytes go."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

CHUNK: Final = 256 * 1024
"""Bytes that are moved at once."""


class ObjectsError(Exception):
    """The store is away, full, slow or refuses us; the same call may succeed later."""


class ObjectMissingError(ObjectsError):
    """There is no such object."""


class ObjectDamagedError(ObjectsError):
    """What is there is not what was stored."""


class Shelf(Protocol):
    """One kind of store. Called in threads; raises ObjectsError alone. Deleting what is not there is no error."""

    def put(self, key: str, path: Path) -> None: ...

    def get(self, key: str, path: Path) -> None: ...

    def delete(self, key: str) -> None: ...

    def keys(self, prefix: str) -> list[str]: ...
