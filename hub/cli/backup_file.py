"""The file of the hub's own backup: a tar of tables (gzip), settings and the index of objects, then a manifest with the
sha256 of each, then the manifest's own.

Written in one pass, for the hub's user alone; it has its name only when whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

import msgspec

from db.engine.row_text import Kind

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SEAL: Final = "manifest.sha256"
SETTINGS: Final = "settings.json"
OBJECTS: Final = "objects.jsonl.gz"
_SCRATCH: Final = ".myrvm-backup-"
_BLOCK: Final = 512
_CHUNK: Final = 1024 * 1024
_MOST_MANIFEST: Final = 4 * 1024 * 1024
_BROKEN: Final = (tarfile.TarError, EOFError, ValueError, KeyError)


Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,60}$")]


class BackupFileError(Exception):
    """`code`: foreign (not a hub's backup), newer (of a newer program), damaged; `member`: the part of the file."""

    def __init__(self, code: str, member: str = "") -> None:
        super().__init__(f"{code}: {member}")
        self.code = code
        self.member = member


class TableMember(msgspec.Struct, frozen=True):
    """Names are put into SQL."""

    name: Name
    columns: tuple[tuple[Name, Kind], ...]
    rows: int


class FileMember(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True):
    """`schema`: the database's version; `database`: what it was copied from; `last_ids` are never given again."""

    format: int
    product: str
    schema: str
    database: str
    host: str
    made_at: str
    tables: tuple[TableMember, ...]
    last_ids: dict[str, int]
    objects: int
    members: dict[str, FileMember]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def table_member(name: str) -> str:
    return f"tables/{name}.gz"


class BackupWriter:
    def __init__(self, file: BinaryIO, mtime: int) -> None:
        self._file = file
        self._mtime = mtime
        self.members: dict[str, FileMember] = {}  # Bound: the tables and three more

    @contextlib.contextmanager
    def compressed(self, name: str) -> Iterator[BinaryIO]:
        with self._member(name) as member, gzip.GzipFile("", "wb", 6, cast("BinaryIO", member), self._mtime) as packed:
            yield cast("BinaryIO", packed)

    def plain(self, name: str, data: bytes) -> None:
        with self._member(name) as member:
            member.write(data)

    def finish(self, manifest: BackupManifest) -> None:
        data = msgspec.json.format(msgspec.json.encode(manifest))
        self.plain(MANIFEST, data)
        self.plain(SEAL, hashlib.sha256(data).hexdigest().encode())
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())

    @contextlib.contextmanager
    def _member(self, name: str) -> Iterator[_Member]:
        """The header is written again when its size is known."""
        at = self._file.tell()
        self._header(name, 0)
        member = _Member(self._file)
        yield member
        self._file.write(bytes(-member.size % _BLOCK))
        end = self._file.tell()
        self._file.seek(at)
        self._header(name, member.size)
        self._file.seek(end)
        self.members[name] = FileMember(member.size, member.sha256.hexdigest())

    def _header(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, self._mtime
        self._file.write(info.tobuf(tarfile.GNU_FORMAT))


class _Member:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None: ...


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A hidden, locked folder; those of killed backups are removed. Raises OSError."""
    for left in beside.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError), _locked(left):  # Another's, one in use, or no folder
            shutil.rmtree(left)
    try:
        made = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=beside)
    except OSError as error:  # whose name is one that nobody gave
        raise OSError(error.errno, error.strerror, str(beside)) from error
    with made as folder, _locked(Path(folder)):
        yield Path(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def new_file(path: Path, scratch: Path) -> Iterator[BinaryIO]:
    """Named when the block ends well. `scratch` is on the same disk. Raises FileExistsError (nothing is
    overwritten), OSError."""
    part = scratch / "part"
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        yield file
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    part.replace(path)  # No hard link: sticks have file systems without
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class BackupReader:
    """Made only of a whole file: every byte has been compared. Raises BackupFileError, OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.manifest = self._manifest()
            self._compare()
        except _BROKEN as error:
            raise BackupFileError("damaged", path.name) from error

    @contextlib.contextmanager
    def compressed(self, name: str) -> Iterator[BinaryIO]:
        with self._member(name) as member, gzip.GzipFile(fileobj=member, mode="rb") as unpacked:
            yield cast("BinaryIO", unpacked)

    def plain(self, name: str) -> bytes:
        with self._member(name) as member:
            return member.read(_MOST_MANIFEST)

    def _manifest(self) -> BackupManifest:
        try:
            data, seal = self.plain(MANIFEST), self.plain(SEAL)
        except tarfile.ReadError as error:
            raise BackupFileError("foreign" if self._is_foreign() else "damaged", self._path.name) from error
        except KeyError as error:
            raise BackupFileError("foreign" if self._is_foreign() else "damaged", str(error.args[0])) from error
        if hashlib.sha256(data).hexdigest().encode() != seal:
            raise BackupFileError("damaged", MANIFEST)
        if msgspec.json.decode(data)["format"] > FORMAT:
            raise BackupFileError("newer", MANIFEST)
        return msgspec.json.decode(data, type=BackupManifest)

    def _is_foreign(self) -> bool:
        with self._path.open("rb") as file:
            return not file.read(_BLOCK).startswith((b"tables/", SETTINGS.encode()))

    def _compare(self) -> None:
        for name, wanted in self.manifest.members.items():
            with self._member(name) as member:
                found, size = hashlib.sha256(), 0
                while data := member.read(_CHUNK):
                    found.update(data)
                    size += len(data)
            if (size, found.hexdigest()) != (wanted.size, wanted.sha256):
                raise BackupFileError("damaged", name)

    @contextlib.contextmanager
    def _member(self, name: str) -> Iterator[BinaryIO]:
        with tarfile.open(self._path, "r:") as tar:
            found = tar.extractfile(tar.getmember(name))
            if found is None:
                raise BackupFileError("damaged", name)
            with found:
                yield cast("BinaryIO", found)
