"""The manifest of an archive: what a backup holds, one JSON object a line. Format 1.

An archive begins with `BEGIN` (the header and the plan, without sums) and ends with `MANIFEST` (the header, entries,
deleted paths, totals). What is not legal, or longer than `MAX_LINE`, raises ArchiveError and names the path.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal

import msgspec

from archive import acl
from archive.errors import DAMAGED, TOO_LARGE, UNKNOWN_FORMAT, UNSAFE, ArchiveError

FORMAT: Final = 1
OWN_FOLDER: Final = ".myrvm"
"""The folder of the archive that no source may have the name of."""
BEGIN: Final = f"{OWN_FOLDER}/manifest-begin.jsonl"
MANIFEST: Final = f"{OWN_FOLDER}/manifest.jsonl"

MAX_ENTRIES: Final = 1_100_000
"""Entries, and likewise deleted paths, of one archive."""
MAX_LINE: Final = 128 * 1024
MAX_PATH: Final = 4096
"""Bytes of a path, as Linux has it."""
MAX_NAME: Final = 255
"""Bytes of one step of a path, likewise."""
MAX_DEPTH: Final = 128
"""Steps of a path: each is a folder held open while what is in it is written."""
MAX_EXTENTS: Final = 1000
"""Pieces of a sparse file; one with more is written in full."""
MAX_ATTRIBUTES: Final = 8192
"""Bytes of the extended attributes and ACLs of one path, names and values: twice what ext4 has room for."""
MAX_CHAIN: Final = 64
MAX_SOURCES: Final = 64
MAX_SIZE: Final = 2**53 - 1

Class = Literal["data", "configuration", "images", "logs"]
CLASSES: Final[tuple[Class, ...]] = ("data", "configuration", "images", "logs")
BackupType = Literal["full", "incremental"]
Compression = Literal["gzip", "zstd", "none"]
Kind = Literal["file", "dir", "symlink", "hardlink"]
Mark = Literal["changed", "vanished", "unreadable"]

Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
Owner = Annotated[str, msgspec.Meta(max_length=256)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Sum = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Raw = Annotated[str, msgspec.Meta(max_length=4 * (MAX_PATH // 3 + 1))]
Extent = tuple[Size, Size]
USER_ATTRIBUTE: Final = re.compile(r"user\.[!-$&-<>-~]{1,250}\Z")
"""The extended attributes that are kept: a tar has their names between `SCHILY.xattr.` and `=`."""
SourceName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]


class ArchiveSource(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, rename={"class_": "class"}):
    """A folder or a file of the machine that was backed up. `root` is where it stood; nothing is written by it."""

    root: Annotated[str, msgspec.Meta(max_length=MAX_PATH)]
    class_: Class
    exclude: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=1000)], ...], msgspec.Meta(max_length=100)] = ()


class Header(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag_field="t", tag="header"):
    """`chain`: the ids from the full backup to this one, this one included. `created_at`: RFC 3339 in UTC."""

    format: int
    backup_id: Id
    rvm_id: Id
    device_id: Annotated[str, msgspec.Meta(max_length=256)]
    backup_type: BackupType
    chain: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=MAX_CHAIN)]
    created_at: Annotated[str, msgspec.Meta(max_length=64)]
    sources: Annotated[dict[SourceName, ArchiveSource], msgspec.Meta(min_length=1, max_length=MAX_SOURCES)]
    compression: Compression
    tool_version: Annotated[str, msgspec.Meta(max_length=64)]
    parent_id: Id | None = None
    encrypted: bool = False


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag_field="t", tag="e"):
    """What a path is: `SOURCE/relative/path`, or `SOURCE` alone for its root.

    Names are as `os.fsdecode` gives them: bytes that are no UTF-8 travel in `raw` and `raw_link`. `link`: where a
    symbolic link leads, or what a hard link is of. `sparse`: the extents that hold data. `snapshot`: a database's
    copy of itself. `mark`: changed while it was read three times, or listed without content. `attributes`: `user.*`;
    `acl`, `default_acl`: as text (archive.acl). Of files and folders.
    """

    path: str
    kind: Kind
    size: Size = 0
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o7777)] = 0
    uid: Number = 0
    gid: Number = 0
    owner: Owner = ""
    group: Owner = ""
    mtime_ns: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0
    link: str | None = None
    sha256: Sum | None = None
    sparse: Annotated[tuple[Extent, ...], msgspec.Meta(max_length=MAX_EXTENTS)] | None = None
    snapshot: bool = False
    mark: Mark | None = None
    raw: Raw | None = None
    raw_link: Raw | None = None
    attributes: dict[str, bytes] | None = None
    acl: str | None = None
    default_acl: str | None = None

    @property
    def extended_size(self) -> int:
        """Bytes of its extended attributes and ACLs."""
        size = sum(len(name) + len(value) for name, value in (self.attributes or {}).items())
        return size + len(self.acl or "") + len(self.default_acl or "")

    @property
    def source(self) -> str:
        return self.path.partition("/")[0]

    @property
    def has_content(self) -> bool:
        """Whether the archive has bytes for it: what vanished or could not be read is only listed."""
        return self.kind == "file" and self.mark in (None, "changed")


class Deleted(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag_field="t", tag="deleted"):
    """A path that the parent had and this backup has not; what is below it is gone with it."""

    path: str
    raw: Raw | None = None


class Totals(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag_field="t", tag="end"):
    """The last line. `files`, `bytes`: regular files with content here and their sizes; `entries`, `deleted`: lines
    above; `state_files`, `state_bytes`: likewise for the whole state after this backup, its parents replayed."""

    files: Size
    bytes: Size
    entries: Size
    deleted: Size
    state_files: Size
    state_bytes: Size


Line = Header | Entry | Deleted | Totals

_NO_STEPS: Final = frozenset({"", ".", ".."})
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """One line with its end. Raises ArchiveError for what no reader would take."""
    try:
        text = _encoder.encode(_carry(line) if isinstance(line, (Entry, Deleted)) else line)
        _check(_decoder.decode(text))
    except (msgspec.ValidationError, UnicodeEncodeError) as wrong:
        raise ArchiveError(DAMAGED, f"cannot be listed: {wrong}", path=getattr(line, "path", "")[:200]) from wrong
    if len(text) > MAX_LINE:  # only a header can be: its sources have many patterns
        raise ArchiveError(TOO_LARGE, f"the header is longer than {MAX_LINE} bytes: fewer sources or patterns")
    return text + b"\n"


def decode(text: bytes) -> Line:
    """One line, its end removed or not. Raises ArchiveError."""
    if len(text) > MAX_LINE:
        raise ArchiveError(DAMAGED, f"a line of the manifest is longer than {MAX_LINE} bytes")
    try:
        return _check(_decoder.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError) as wrong:
        raise ArchiveError(DAMAGED, f"a line of the manifest cannot be read: {wrong}") from wrong


def read(chunks: Iterable[bytes], *, is_plan: bool = False) -> Iterator[Line]:
    """The lines of a manifest, in order: a header, entries, deleted paths, totals that fit; nothing behind them.

    Holds one line at a time; does not see a path that comes twice. `is_plan`: as at the begin of an archive, without
    deleted paths and totals. Raises ArchiveError.
    """
    return _Order(is_plan).of(lines(chunks))


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cuts bytes into lines of at most MAX_LINE; the last one must have its end."""
    rest = b""
    for chunk in chunks:
        pieces = (rest + chunk).split(b"\n")
        rest = pieces.pop()
        yield from pieces
        if len(rest) > MAX_LINE:
            raise ArchiveError(DAMAGED, f"a line of the manifest is longer than {MAX_LINE} bytes")
    if rest:
        raise ArchiveError(DAMAGED, "the manifest ends within a line")


class _Order:
    """Counts lines and knows which may follow."""

    def __init__(self, is_plan: bool) -> None:
        self._is_plan = is_plan
        self._header: Header | None = None
        self._entries = self._deleted = self._files = self._bytes = 0
        self._totals: Totals | None = None

    def of(self, texts: Iterable[bytes]) -> Iterator[Line]:
        for text in texts:
            line = decode(text)
            self._follow(line)
            yield line
        if self._header is None or (self._totals is None and not self._is_plan):
            raise ArchiveError(DAMAGED, "the manifest ends too early")

    def _follow(self, line: Line) -> None:
        if isinstance(line, Header):
            if self._header is not None:
                raise ArchiveError(DAMAGED, "the manifest has two headers")
            self._header = line
            return
        if self._header is None or self._totals is not None:
            raise ArchiveError(DAMAGED, "the manifest is out of order")
        if isinstance(line, Entry):
            self._entry(line, self._header)
        elif self._is_plan:
            raise ArchiveError(DAMAGED, "the plan has more than entries")
        elif isinstance(line, Deleted):
            self._delete(line, self._header)
        else:
            self._end(line)

    def _entry(self, line: Entry, header: Header) -> None:
        if self._deleted:
            raise ArchiveError(DAMAGED, "an entry behind the deleted paths", path=line.path)
        if line.source not in header.sources:
            raise ArchiveError(UNSAFE, "belongs to no source of this archive", path=line.path)
        if line.has_content and line.sha256 is None and not self._is_plan:
            raise ArchiveError(DAMAGED, "has no sha256", path=line.path)
        self._entries += 1
        self._files += line.has_content
        self._bytes += line.size if line.has_content else 0
        _at_most(self._entries)

    def _delete(self, line: Deleted, header: Header) -> None:
        if header.backup_type == "full":
            raise ArchiveError(DAMAGED, "a full backup deletes nothing", path=line.path)
        if line.path.partition("/")[0] not in header.sources:
            raise ArchiveError(UNSAFE, "belongs to no source of this archive", path=line.path)
        self._deleted += 1
        _at_most(self._deleted)

    def _end(self, line: Totals) -> None:
        counted = (self._files, self._bytes, self._entries, self._deleted)
        if (line.files, line.bytes, line.entries, line.deleted) != counted:
            raise ArchiveError(DAMAGED, "the totals of the manifest do not fit what it lists")
        self._totals = line


def _at_most(count: int) -> None:
    if count > MAX_ENTRIES:
        raise ArchiveError(TOO_LARGE, f"more than {MAX_ENTRIES} entries")


def check_path(path: str) -> tuple[str, ...]:
    """The steps of a path. Raises ArchiveError unless it is relative, without `..` and within the bounds."""
    size = len(path) if path.isascii() else len(path.encode("utf-8", "surrogateescape"))
    if not path or size > MAX_PATH or "\0" in path:
        raise ArchiveError(UNSAFE, f"a path has 1 to {MAX_PATH} bytes and no NUL", path=path[:200])
    steps = tuple(path.split("/"))
    if not _NO_STEPS.isdisjoint(steps):
        raise ArchiveError(UNSAFE, "a path is relative and has no empty step, `.` or `..`", path=path[:200])
    is_long = size > MAX_NAME and any(len(step.encode("utf-8", "surrogateescape")) > MAX_NAME for step in steps)
    if len(steps) > MAX_DEPTH or is_long:
        raise ArchiveError(UNSAFE, f"a path has {MAX_DEPTH} steps of {MAX_NAME} bytes at most", path=path[:200])
    return steps


def leads_out(path: str, link: str) -> bool:
    """Whether a symbolic link at `path` leads out of the source it stands in."""
    if link.startswith("/"):
        return True
    depth = path.count("/") - 1  # steps below the source's root that the link's own folder has
    for step in link.split("/"):
        depth += -1 if step == ".." else 0 if step in ("", ".") else 1
        if depth < 0:
            return True
    return False


def _check(line: Line) -> Line:
    if isinstance(line, Header):
        return _check_header(line)
    if isinstance(line, Totals):
        return line
    line = _uncarry(line)
    steps = check_path(line.path)
    if steps[0] == OWN_FOLDER:
        raise ArchiveError(UNSAFE, f"no source has the name {OWN_FOLDER}", path=line.path)
    return _check_entry(line) if isinstance(line, Entry) else line


def _check_header(header: Header) -> Header:
    if header.format != FORMAT:
        raise ArchiveError(UNKNOWN_FORMAT, f"format {header.format}; this release reads format {FORMAT}")
    begins = header.backup_type == "full"
    parent = None if begins else header.chain[-2] if len(header.chain) > 1 else header.backup_id
    if header.chain[-1] != header.backup_id or len(set(header.chain)) != len(header.chain):
        raise ArchiveError(DAMAGED, "the chain of the header does not end with its own backup")
    if header.parent_id != parent or begins != (len(header.chain) == 1):
        raise ArchiveError(DAMAGED, "the chain of the header does not fit its type and its parent")
    return header


def _check_entry(entry: Entry) -> Entry:
    if (entry.link is not None) != (entry.kind in ("symlink", "hardlink")):
        raise ArchiveError(DAMAGED, "a link, and only a link, says where it leads", path=entry.path)
    if entry.kind == "hardlink":
        check_path(entry.link or "")
    elif entry.link is not None and not 0 < len(entry.link.encode("utf-8", "surrogateescape")) <= MAX_PATH:
        raise ArchiveError(DAMAGED, f"a link leads to a path of 1 to {MAX_PATH} bytes", path=entry.path)
    if entry.link is not None and "\0" in entry.link:
        raise ArchiveError(DAMAGED, "a link leads to a path without NUL", path=entry.path)
    if entry.kind != "file" and (entry.size or entry.sparse is not None or entry.sha256 is not None):
        raise ArchiveError(DAMAGED, "only a file has content", path=entry.path)
    behind = 0
    for offset, length in entry.sparse or ():
        if offset < behind or offset + length > entry.size:
            raise ArchiveError(DAMAGED, "the extents of a sparse file overlap or leave it", path=entry.path)
        behind = offset + length
    if entry.attributes or entry.acl is not None or entry.default_acl is not None:
        _check_extended(entry)
    return entry


def _check_extended(entry: Entry) -> None:
    if entry.extended_size > MAX_ATTRIBUTES:
        detail = f"more than {MAX_ATTRIBUTES} bytes of extended attributes"
        raise ArchiveError(TOO_LARGE, detail, path=entry.path)
    if entry.kind not in ("file", "dir") or (entry.default_acl is not None and entry.kind != "dir"):
        raise ArchiveError(
            DAMAGED, "a link has no extended attributes, and only a folder a default ACL", path=entry.path
        )
    for name in entry.attributes or ():
        if USER_ATTRIBUTE.match(name) is None:
            raise ArchiveError(UNSAFE, f"no backup has the extended attribute {name[:100]!r}", path=entry.path)
    try:
        for text in (entry.acl, entry.default_acl):
            if text is not None:
                acl.parse(text)
    except acl.AclError as wrong:
        raise ArchiveError(DAMAGED, str(wrong), path=entry.path) from wrong


def _carry(line: Entry | Deleted) -> Entry | Deleted:
    """Moves names that are no UTF-8 where JSON can hold them."""
    changes: dict[str, str] = {}
    for name, raw in (("path", "raw"), ("link", "raw_link")):
        text = getattr(line, name, None)
        if text is not None and not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text):
            octets = text.encode("utf-8", "surrogateescape")
            changes |= {name: octets.decode("utf-8", "replace"), raw: base64.b64encode(octets).decode()}
    return msgspec.structs.replace(line, **changes) if changes else line


def _uncarry(line: Entry | Deleted) -> Entry | Deleted:
    changes: dict[str, str | None] = {}
    for name, raw in (("path", "raw"), ("link", "raw_link")):
        carried = getattr(line, raw, None)
        if carried is not None:
            try:
                octets = base64.b64decode(carried, validate=True)
            except binascii.Error as wrong:
                raise ArchiveError(DAMAGED, f"`{raw}` is no base64", path=line.path) from wrong
            changes |= {name: octets.decode("utf-8", "surrogateescape"), raw: None}
    return msgspec.structs.replace(line, **changes) if changes else line
