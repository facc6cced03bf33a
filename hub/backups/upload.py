"""Streams the bytes of backups into the store, one request body at a time. Knows no JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request

from db.backup_records import BackupPartRow, BackupRow
from db.errors import Conflict
from hub.backups.rules import life
from hub.backups.service import Backups
from hub.kernel.objects.place import PART_SIZE, ObjectMissingError, ObjectsError, ObjectsFullError, Sum
from hub.kernel.objects.store import Objects
from hub.model.changes import Drop
from hub.web.http.problems import Problem, Text

MOST_PARTS: Final = 24
"""Bodies read at once: 1 MiB each where the store is a folder, else 8 MiB."""
MOST_SUMS: Final = 4 * MOST_PARTS
MOST_FORMS: Final = 2
WAIT_S: Final = 10.0
SILENCE_S: Final = 30.0
"""Without a byte of a body; the whole may take as long as a slow line needs."""
STORE_RETRY_S: Final = 15.0
BUSY_RETRY_S: Final = 5.0
CLOSED: Final = {"Connection": "close"}
"""An unread rest would stand before the next request."""


_RANGE: Final = re.compile(r"bytes ([0-9]{1,9})-([0-9]{1,9})/([0-9]{1,9})\Z")


class PartSpan(NamedTuple):
    """The bytes of a part that a body has, `end` excluded."""

    first: int
    end: int
    size: int

    @property
    def is_last(self) -> bool:
        return self.end == self.size


def span_of(content_range: str | None, length: int, piece: int) -> PartSpan | None:
    """Of the body; without a header the whole part. None: it fits neither the length nor the pieces of the store."""
    if content_range is None:
        return PartSpan(0, length, length)
    found = _RANGE.match(content_range)
    if found is None:
        return None
    span = PartSpan(int(found[1]), int(found[2]) + 1, int(found[3]))
    is_cut = span.first % piece == 0 and (span.is_last or span.end % piece == 0)
    is_right = 0 <= span.first < span.end <= span.size <= PART_SIZE and span.end - span.first == length
    return span if is_cut and is_right else None


class _PartBody(NamedTuple):
    scope: anyio.CancelScope
    ended: anyio.Event


class BegunSums:
    """Of parts whose rest is on its way, so that nothing is read twice. What is not here is on the disk."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], tuple[int, Sum]] = {}  # Bound: MOST_SUMS, the oldest goes

    def take(self, upload_id: str, number: int, size: int) -> Sum | None:
        """Of its first `size` bytes. None: unknown."""
        known, found = self._sums.pop((upload_id, number), (0, None))
        if size == 0:
            return hashlib.sha256()
        return found if known == size else None

    def keep(self, upload_id: str, number: int, size: int, found: Sum) -> None:
        self._sums[upload_id, number] = size, found
        while len(self._sums) > MOST_SUMS:
            del self._sums[next(iter(self._sums))]


class SentPart(NamedTuple):
    """A request whose body is a part, or a piece of one, of the backup `row`. `replaces`: other bytes of this number
    are stored."""

    row: BackupRow
    part: BackupPartRow
    span: PartSpan
    replaces: bool
    request: Request


class Receiving:
    """The bodies being read. A part sent again replaces the earlier sending, whose connection may be dead."""

    def __init__(self) -> None:
        self._places = anyio.Semaphore(MOST_PARTS)
        self._forms = anyio.Semaphore(MOST_FORMS)
        self._parts: dict[tuple[int, int], _PartBody] = {}  # Bound: MOST_PARTS and those that wait for a place
        self._sums = BegunSums()

    async def receive(self, backups: Backups, sent: SentPart) -> None:
        """Returns when its last piece is on disk and its row committed; another piece is only kept. Raises Problem
        and a StoreError."""
        key, mine = (sent.row.id, sent.part.number), _PartBody(anyio.CancelScope(), anyio.Event())
        older, self._parts[key] = self._parts.get(key), mine
        try:
            with mine.scope:
                if older is not None:
                    # Until then a thread may still write to the same place.
                    older.scope.cancel()
                    await older.ended.wait()
                await self._store(backups, sent)
        finally:
            mine.ended.set()
            if self._parts.get(key) is mine:
                del self._parts[key]
        if mine.scope.cancelled_caught:
            raise Problem("conflict", Text("backup.sent_again"), code="conflict", headers=CLOSED)

    async def _store(self, backups: Backups, sent: SentPart) -> None:
        await _wait_for(self._places)
        try:
            if sent.replaces:
                # While other bytes take its place nobody may count on it.
                where = (("number", "=", sent.part.number),)
                await backups.announce(Drop(BackupPartRow, sent.row.id, where=where))
            tag = await self._write(backups.objects, sent)
        finally:
            self._places.release()
        if not sent.span.is_last:
            return
        stored = msgspec.structs.replace(sent.part, tag=tag)
        try:
            await backups.announce(*life.part_stored(sent.row, stored))
        except Conflict as ended:
            raise ended_meanwhile() from ended

    async def _write(self, objects: Objects, sent: SentPart) -> str:
        """The part's tag, when it is on the store's disk; "" of a piece, which is kept for its rest."""
        key, upload_id, (part, span) = sent.row.file_path or "", sent.row.upload_id or "", (sent.part, sent.span)
        writer = objects.part_writer(key, upload_id, part.number, span.first)
        tag = ""
        try:
            found = self._sums.take(upload_id, part.number, span.first)
            if found is None:  # an earlier life of this hub had it
                found = await objects.begun_part(key, upload_id, part.number, span.first)
            async for piece in body(sent.request):
                if writer.size + len(piece) > span.end:
                    raise Problem("malformed", Text("backup.other_length"), headers=CLOSED)
                found.update(piece)
                with anyio.CancelScope(shield=True):  # whoever comes after us may write when our thread does not
                    await writer.write(piece)
            if writer.size != span.end:
                raise Problem("malformed", Text("body_incomplete"), headers=CLOSED)
            if span.is_last and found.hexdigest() != part.sha256:
                raise Problem("conflict", Text("backup.part_differs"), code="part_differs")
            with anyio.CancelScope(shield=True):
                if span.is_last:
                    tag = await writer.finish()
                else:
                    await writer.keep()
                    self._sums.keep(upload_id, part.number, span.end, found)
        except ObjectMissingError as gone:
            raise ended_meanwhile() from gone
        except ObjectsError as away:
            raise store_away(away) from away
        return tag

    @asynccontextmanager
    async def form(self) -> AsyncIterator[None]:
        """A place for a whole archive. Raises Problem (503)."""
        await _wait_for(self._forms)
        try:
            yield
        finally:
            self._forms.release()


async def _wait_for(places: anyio.Semaphore) -> None:
    with anyio.move_on_after(WAIT_S):
        await places.acquire()
        return
    raise Problem("unavailable", Text("backup.busy"), retry_after=BUSY_RETRY_S, headers=CLOSED)


def same_part(there: BackupPartRow, sent: BackupPartRow) -> bool:
    return (there.sha256, there.size) == (sent.sha256, sent.size)


async def drain(request: Request) -> None:
    """Read to the end of a body, and discard it."""
    async for _ in body(request):
        pass


async def body(request: Request) -> AsyncIterator[bytes]:
    """Raises Problem for one that stalls or breaks off."""
    parts = aiter(request.stream())
    while True:
        try:
            with anyio.fail_after(SILENCE_S):
                piece = await anext(parts, None)
        except TimeoutError as slow:
            raise Problem("malformed", Text("backup.slow", {"count": int(SILENCE_S)}), headers=CLOSED) from slow
        except ClientDisconnect as gone:
            raise Problem("malformed", Text("body_incomplete")) from gone
        if piece is None:
            return
        if piece:
            yield piece


def store_away(error: ObjectsError) -> Problem:
    key = "backup.store_full" if isinstance(error, ObjectsFullError) else "backup.store_away"
    return Problem("unavailable", Text(key), retry_after=STORE_RETRY_S, code="store_away")


def ended_meanwhile() -> Problem:
    return Problem("conflict", Text("backup.ended"), code="backup_ended")
