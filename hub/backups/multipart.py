"""Takes a whole archive out of a form: its one file streams into the store, whatever the order of the fields. Holds
one part of the archive in memory."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from hub.backups.rules.life import Archive
from hub.backups.service import PREFIX, Backups
from hub.backups.upload import CLOSED, STORE_RETRY_S, body, store_away
from hub.kernel.objects.place import PART_SIZE, ObjectsError
from hub.kernel.objects.store import PartWriter
from hub.model import credentials
from hub.web.http.problems import Problem, Text, one_wrong

MOST_FIELDS: Final = 16
MOST_HEADERS: Final = 8
MOST_HEADER_BYTES: Final = 4096
MOST_TEXT_BYTES: Final = 8192
MOST_OVERHEAD: Final = 128 * 1024
"""A form may be larger than its file by so much."""
MOST_BOUNDARY: Final = 70  # RFC 2046
MOST_NAME: Final = 255

# Its warnings name bytes of strangers, one line a request.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


class Form:
    """`pieces` gives the file's bytes; after its end `texts` has the other fields."""

    def __init__(self, request: Request, files: tuple[str, ...]) -> None:
        """`files`: names that the file's field may have. Raises Problem: 415, or 400 without a boundary."""
        self.texts: dict[str, str] = {}  # Bound: MOST_FIELDS, MOST_TEXT_BYTES
        self._request = request
        self._files = files
        self._names: set[str] = set()  # Bound: MOST_FIELDS
        self._pieces: list[bytes] = []  # Bound: one piece of the body
        self._name = ""
        self._text = bytearray()  # Bound: MOST_TEXT_BYTES
        self._header = b""
        self._value = b""
        self._disposition: dict[bytes, bytes] = {}  # Bound: MOST_HEADER_BYTES
        self._is_file = False
        self._ended = False
        self._texts_bytes = 0
        self._parser = MultipartParser(
            _boundary(request),
            {
                "on_part_begin": self._part_begin, "on_header_field": self._header_field,
                "on_header_value": self._header_value, "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished, "on_part_data": self._part_data,
                "on_part_end": self._part_end, "on_end": self._end,
            },
            max_header_count=MOST_HEADERS, max_header_size=MOST_HEADER_BYTES,
        )  # fmt: skip

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises Problem: no form, cut short, or without a file."""
        async for data in body(self._request):
            if self._ended:
                continue  # what stands behind the form says nothing
            try:
                self._parser.write(data)
            except MultipartParseError as broken:
                raise _malformed() from broken
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
        if not self._ended:
            raise Problem("malformed", Text("body_incomplete"), headers=CLOSED)
        if not self._names & set(self._files):
            raise one_wrong(self._files[0], "form.file_missing")

    def _part_begin(self) -> None:
        self._disposition, self._text, self._is_file, self._name = {}, bytearray(), False, ""
        self._header = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._value)
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        name = self._disposition.get(b"name", b"").decode("utf-8", "replace")
        if not name or len(name) > MOST_NAME or len(self._names) >= MOST_FIELDS:
            raise _malformed()
        self._is_file = name in self._files
        known = {*self._files} if self._is_file else {name}
        if known & self._names:
            raise one_wrong(name, "form.twice")
        self._names.add(name)
        self._name = name

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
            return
        self._texts_bytes += end - start
        if self._texts_bytes > MOST_TEXT_BYTES:
            raise one_wrong(self._name[:100], "form.too_long", most=MOST_TEXT_BYTES)
        self._text += data[start:end]

    def _part_end(self) -> None:
        if not self._is_file:
            self.texts[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _boundary(request: Request) -> bytes:
    media, options = parse_options_header(request.headers.get("content-type", "")[:1000])
    if media != b"multipart/form-data":
        wanted = {"Accept": "multipart/form-data", **CLOSED}
        raise Problem("unsupported-media-type", Text("form.wanted"), headers=wanted)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MOST_BOUNDARY or not boundary.isascii() or not boundary.decode("ascii").isprintable():
        raise _malformed()
    return boundary


def _malformed() -> Problem:
    return Problem("malformed", Text("form.malformed"), headers=CLOSED)


_MAGIC: Final = ((b"\x1f\x8b", ".tar.gz"), (b"\x28\xb5\x2f\xfd", ".tar.zst"), (b"age-encryption.org/", ".tar.age"))


_HEAD: Final = 512


class Sink:
    """Puts an archive into the store, part by part. `close` always: it discards what no row claims."""

    def __init__(self, backups: Backups, rvm_id: int, backup_id: int) -> None:
        self.backup_id = backup_id
        self.key = ""
        self.size = 0
        self._backups = backups
        self._stem = f"{PREFIX}{rvm_id}/{backup_id}-{credentials.random_hex(8)}"
        self._upload_id = ""
        self._parts: list[tuple[int, str]] = []  # Bound: as many as the largest backup has
        self._head = bytearray()  # Bound: _HEAD and a piece
        self._writer: PartWriter | None = None
        self._sum = hashlib.sha256()

    async def take(self, piece: bytes) -> None:
        """Raises Problem."""
        self.size += len(piece)
        self._sum.update(piece)
        if self._upload_id:
            await self._write(piece)
            return
        self._head += piece
        if len(self._head) >= _HEAD:
            await self._begin()

    async def finish(self) -> Archive:
        """The archive, compared with what the store holds. Raises Problem."""
        if not self._upload_id:
            await self._begin()
        try:
            await self._end_part()
            objects = self._backups.objects
            await objects.complete(self.key, self._upload_id, self._parts)
            self._upload_id = ""
            found = await objects.digest(self.key)
        except ObjectsError as away:
            raise store_away(away) from away
        if found != self._sum.hexdigest():
            raise Problem("unavailable", Text("backup.store_damaged"), retry_after=STORE_RETRY_S)
        return Archive(self.size, found, minio_path=self._backups.minio_path(self.key))

    async def close(self, *, kept: bool) -> None:
        await self._backups.discard(None if kept else self.key or None, self._upload_id)
        self._backups.receiving.discard(self.key)

    async def _begin(self) -> None:
        self.key = self._stem + _ending(self._head)
        self._backups.receiving.add(self.key)
        try:
            self._upload_id = await self._backups.objects.begin(self.key)
        except ObjectsError as away:
            raise store_away(away) from away
        await self._write(bytes(self._head))

    async def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                if self._writer is None:
                    number, objects = len(self._parts) + 1, self._backups.objects
                    self._writer = objects.part_writer(self.key, self._upload_id, number)
                fits = PART_SIZE - self._writer.size
                await self._writer.write(left[:fits])
                left = left[fits:]
                if self._writer.size == PART_SIZE:
                    await self._end_part()
        except ObjectsError as away:
            raise store_away(away) from away

    async def _end_part(self) -> None:
        if self._writer is not None:
            self._parts.append((len(self._parts) + 1, await self._writer.finish()))
            self._writer = None


def _ending(data: bytearray) -> str:
    """Extension of the key, by the first bytes; only a restore shows whether it is an archive."""
    if data[257:262] == b"ustar":
        return ".tar"
    return next((ending for magic, ending in _MAGIC if data.startswith(magic)), ".bin")
