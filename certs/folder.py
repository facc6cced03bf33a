"""The folder of a private authority (0700): what it holds, written so that a kill leaves the old or the new.

`authority.pem` (key and certificate), `authority_next.pem` and `authority_old.pem` while it is exchanged,
`authority.crt` (what machines trust, public), `hub.pem`, `clients/MACHINE.pem`, `revoked.crl`, `issued.json`. A pair is
one file: one rename exchanges it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

AUTHORITY: Final = "authority.pem"
NEXT: Final = "authority_next.pem"
OLD: Final = "authority_old.pem"
TRUSTED: Final = "authority.crt"
HUB: Final = "hub.pem"
CLIENTS: Final = "clients"
REVOKED: Final = "revoked.crl"
ISSUED: Final = "issued.json"
PUBLIC: Final = (TRUSTED, REVOKED)


@dataclass(frozen=True)
class Issued:
    """A certificate that was signed here; `file` below the folder. `revoked_at`: None for one that counts."""

    serial: int
    kind: str
    name: str
    file: str
    not_after: str
    authority: str
    names: list[str] = field(default_factory=list)
    revoked_at: str | None = None


class FolderError(Exception):
    """`code`: busy (another run), unwritable, damaged (issued.json)."""

    def __init__(self, code: str, path: Path, why: str = "") -> None:
        super().__init__(f"{path}: {code}{why and f' ({why})'}")
        self.code = code
        self.path = path
        self.why = why


class AuthorityFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One run at a time; made when it is not there. Raises FolderError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FolderError("unwritable", self.path, error.strerror or "") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tidy()
            yield
        except BlockingIOError as error:
            raise FolderError("busy", self.path) from error
        except OSError as error:
            raise FolderError("unwritable", self.path, error.strerror or "") from error
        finally:
            os.close(handle)

    def _tidy(self) -> None:
        """What a killed run left; and git takes nothing of this folder, wherever it stands."""
        for folder in (self.path, self.path / CLIENTS):
            for left in folder.glob(".*.new") if folder.is_dir() else ():
                left.unlink()
        if not (self.path / ".gitignore").exists():
            self.write(".gitignore", b"*\n")

    def read(self, name: str) -> bytes | None:
        """None: there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Old or new, never half; 0600, or 0644 for what is public. Raises OSError."""
        path = self.path / name
        if path.parent != self.path:
            path.parent.mkdir(exist_ok=True, mode=0o700)
        beside = path.with_name(f".{path.name}.new")
        mode = 0o644 if name in PUBLIC else 0o600
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        self.sync(path.parent)

    def rename(self, name: str, new: str) -> None:
        (self.path / name).replace(self.path / new)
        self.sync(self.path)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        self.sync(self.path)

    @staticmethod
    def sync(folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def issued(self) -> list[Issued]:
        """Raises FolderError."""
        content = self.read(ISSUED)
        if content is None:
            return []
        try:
            rows: list[dict[str, Any]] = json.loads(content)
            return [Issued(**row) for row in rows]
        except (ValueError, TypeError) as error:
            raise FolderError("damaged", self.path / ISSUED, str(error)) from error

    def revoked_serials(self) -> set[int]:
        return {each.serial for each in self.issued() if each.revoked_at is not None}

    def note(self, issued: list[Issued], now: datetime) -> None:
        """Without what expired before this year began twice: nobody takes it any more. But that a machine was revoked
        is known for as long as its file is there."""
        since = f"{now.year - 2}"
        rows = [
            asdict(each) for each in issued
            if each.not_after >= since or (each.revoked_at is not None and (self.path / each.file).exists())
        ]  # fmt: skip
        self.write(ISSUED, (json.dumps(rows, indent=1) + "\n").encode())
