"""Lists what a backup holds, folder by folder, from the manifest that its drill stored."""

from __future__ import annotations

import gzip
import heapq
import tempfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Annotated, Any, BinaryIO, Final, Literal, NamedTuple

import anyio
import anyio.to_thread
import msgspec

from archive import manifest
from archive.errors import ArchiveError
from archive.manifest import Deleted, Entry, Header
from hub.backups.api import find
from hub.backups.service import Backups
from hub.backups.upload import store_away
from hub.kernel.objects.place import CHUNK, ObjectMissingError, ObjectsError
from hub.model.views import rfc3339
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, one_wrong
from hub.web.http.validation import Instant, Limit

AT_A_TIME: Final = 2
"""Lists read at once: the largest takes seconds of CPU."""
IN_MEMORY: Final = 1024 * 1024
"""Of a packed manifest; larger ones lie in a file."""
Path = Annotated[str, msgspec.Meta(max_length=manifest.MAX_PATH, pattern=r"^[^\x00]*$(?![\n\x00])")]


class FilesQuery(msgspec.Struct):
    """`folder` "" has the sources. `after`: the last name of the page before."""

    folder: Path = ""
    after: Path | None = None
    limit: Limit = 200


class FileEntry(msgspec.Struct):
    """`mark`: changed while read, vanished, or unreadable; of the last two the archive has no content."""

    name: str
    kind: Literal["file", "dir", "symlink", "hardlink"]
    size: int
    mode: int
    owner: str
    group: str
    mtime: Instant
    link: str | None
    sha256: str | None
    mark: Literal["changed", "vanished", "unreadable"] | None


class FilesOfBackup(msgspec.Struct):
    """Of an incremental: what changed since its parent, and the `deleted` paths of this folder. `sources`: each with
    its class of data."""

    folder: str
    sources: dict[str, str]
    entries: list[FileEntry]
    deleted: list[str]
    next: str | None


class FileLists:
    def __init__(self) -> None:
        self.threads = anyio.CapacityLimiter(AT_A_TIME)


class FolderOfBackup(NamedTuple):
    header: Header | None
    entries: list[Entry]
    deleted: list[str]
    has_folder: bool


async def list_files(call: Call) -> Answer:
    query, row = call.query, await find(call)
    if row.manifest_key is None or row.deleted_at is not None:
        raise Problem("conflict", Text("backup.no_list"), code="no_list")
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as packed:
        try:
            async for piece in call.context[Backups].objects.stream(row.manifest_key):
                packed.write(piece)
        except ObjectMissingError as gone:
            raise Problem("conflict", Text("backup.lost"), code="backup_lost") from gone
        except ObjectsError as away:
            raise store_away(away) from away
        packed.seek(0)
        threads = call.context[FileLists].threads
        found = await anyio.to_thread.run_sync(look, packed, query.folder.strip("/"), query, limiter=threads)
    if found is None:
        raise Problem("conflict", Text("backup.lost"), code="backup_lost")
    if not found.has_folder:
        raise one_wrong("folder", "backup.no_folder")
    return Answer(_shown(found, query))


def look(packed: Any, folder: str, query: FilesQuery) -> FolderOfBackup | None:
    """None: a damaged manifest."""
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as file:
            return _found(manifest.lines(_chunks(file)), folder, query)
    except (ArchiveError, OSError, EOFError, zlib.error):
        return None


def _chunks(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data


def _found(lines: Iterator[bytes], folder: str, query: FilesQuery) -> FolderOfBackup:
    header = manifest.decode(next(lines, b""))
    chosen = _Chosen(folder, query.after or "")
    entries = heapq.nsmallest(query.limit + 1, chosen.of(lines), key=lambda entry: entry.path)
    known = header if isinstance(header, Header) else None
    return FolderOfBackup(known, entries, sorted(chosen.deleted), chosen.has_folder)


class _Chosen:
    """Picks the entries of one folder; other lines are not decoded."""

    def __init__(self, folder: str, after: str) -> None:
        self.deleted: list[str] = []  # Bound: MOST_DELETED
        self.has_folder = not folder
        self._prefix = f"{folder}/" if folder else ""
        self._after = after
        self._raw_folder = _raw(folder)
        self._raw_prefix = _raw(self._prefix)

    def of(self, lines: Iterator[bytes]) -> Iterator[Entry]:
        for text in lines:
            start = text.find(_PATH) + len(_PATH)
            path = text[start : text.find(b'"', start)]
            if path == self._raw_folder or path.startswith(self._raw_prefix):
                self.has_folder = True
                if b"/" not in path[len(self._raw_prefix) :] and start >= len(_PATH):
                    yield from self._entry(manifest.decode(text))

    def _entry(self, line: manifest.Line) -> Iterator[Entry]:
        if not isinstance(line, (Entry, Deleted)) or not line.path.startswith(self._prefix):
            return
        name = line.path[len(self._prefix) :]
        if not name or "/" in name:
            return
        if isinstance(line, Deleted):
            self.deleted += [_shown_name(name)] if len(self.deleted) < MOST_DELETED else []
        elif name > self._after:
            yield line


_PATH: Final = b'"path":"'


def _raw(path: str) -> bytes:
    return msgspec.json.encode(path)[1:-1]


def _shown_name(name: str) -> str:
    """Bytes that are no UTF-8 are escaped; no JSON could carry them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


MOST_DELETED: Final = 500


def _shown(found: FolderOfBackup, query: FilesQuery) -> dict[str, Any]:
    page = found.entries[: query.limit]
    names = [_shown_name(entry.path.rpartition("/")[2]) for entry in page]
    sources = {} if found.header is None else {name: each.class_ for name, each in found.header.sources.items()}
    entries = [_entry(name, entry) for name, entry in zip(names, page, strict=True)]
    following = names[-1] if len(found.entries) > len(page) else None
    return {
        "folder": query.folder.strip("/"), "sources": sources, "entries": entries, "deleted": found.deleted,
        "next": following,
    }  # fmt: skip


def _entry(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": name,
        "kind": entry.kind,
        "size": entry.size,
        "mode": entry.mode,
        "owner": entry.owner or str(entry.uid),
        "group": entry.group or str(entry.gid),
        "mtime": rfc3339(datetime.fromtimestamp(entry.mtime_ns // 10**9, timezone.utc)),
        "link": None if entry.link is None else _shown_name(entry.link),
        "sha256": entry.sha256,
        "mark": entry.mark,
    }


OPERATIONS = (
    Operation(
        name="list_backup_files", method="GET", path="/v2/rvms/{id}/backups/{backup_id}/files", handler=list_files,
        tag="Backups", summary="What a backup holds, by folder", action="backup.read", query=FilesQuery,
        answers={200: FilesOfBackup}, refusals=(409,), reads=2.0,
        description="409 (`no_list`) for one that is encrypted, or was not restored as a test yet.",
    ),
)  # fmt: skip
