"""Streams the bytes of backups into the store, one request body at a time. Knows no JSON."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import anyio
from starlette.requests import ClientDisconnect, Request

from db.backup_records import BackupPartRow, BackupRow
from db.errors import Conflict
from hub.backups.rules import life
from hub.backups.service import Backups
from hub.kernel.objects.place import ObjectMissingError, ObjectsError, ObjectsFullError
from hub.model.changes import Drop
from hub.web.http.problems import Problem, Text

MOST_PARTS: Final = 24
"""Bodies read at once: 1 MiB each where the store is a folder, else 8 MiB."""
MOST_FORMS: Final = 2
WAIT_S: Final = 10.0
SILENCE_S: Final = 30.0
"""Without a byte of a body; the whole may take as long as a slow line needs."""
STORE_RETRY_S: Final = 15.0
BUSY_RETRY_S: Final = 5.0
CLOSED: Final = {"Connection": "close"}
"""An unread rest would stand before the next request."""


class _PartBody(NamedTuple):
    scope: anyio.CancelScope
    ended: anyio.Event


class Receiving:
    """The bodies being read. A part sent again replaces the earlier sending, whose connection may be dead."""

    def __init__(self) -> None:
        self._places = anyio.Semaphore(MOST_PARTS)
        self._forms = anyio.Semaphore(MOST_FORMS)
        self._parts: dict[tuple[int, int], _PartBody] = {}  # Bound: MOST_PARTS and those that wait for a place

    async def part(
        self, backups: Backups, request: Request, row: BackupRow, part: BackupPartRow, before: BackupPartRow | None
    ) -> None:
        """Returns when it is on disk and its row committed. Raises Problem and a StoreError."""
        key, mine = (row.id, part.number), _PartBody(anyio.CancelScope(), anyio.Event())
        older, self._parts[key] = self._parts.get(key), mine
        try:
            with mine.scope:
                if older is not None:
                    # Until then a thread may still write to the same place.
                    older.scope.cancel()
                    await older.ended.wait()
                await self._receive(backups, request, row, part, before)
        finally:
            mine.ended.set()
            if self._parts.get(key) is mine:
                del self._parts[key]
        if mine.scope.cancelled_caught:
            raise Problem("conflict", Text("backup.sent_again"), code="conflict", headers=CLOSED)

    async def _receive(
        self, backups: Backups, request: Request, row: BackupRow, part: BackupPartRow, before: BackupPartRow | None
    ) -> None:
        await _wait_for(self._places)
        try:
            if before is not None:
                # While other bytes take its place nobody may count on it.
                await backups.announce(Drop(BackupPartRow, row.id, where=(("number", "=", part.number),)))
            tag = await _written(backups, request, row, part)
        finally:
            self._places.release()
        stored = BackupPartRow(
            backup_id=row.id, number=part.number, size=part.size, sha256=part.sha256, tag=tag
        )  # fmt: skip
        try:
            await backups.announce(*life.part_stored(row, stored))
        except Conflict as ended:
            raise ended_meanwhile() from ended

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


async def _written(backups: Backups, request: Request, row: BackupRow, part: BackupPartRow) -> str:
    """The part's tag, when it is on the store's disk."""
    writer = backups.objects.part_writer(row.file_path or "", row.upload_id or "", part.number)
    found = hashlib.sha256()
    try:
        async for piece in body(request):
            if writer.size + len(piece) > part.size:
                raise Problem("malformed", Text("backup.other_length"), headers=CLOSED)
            found.update(piece)
            with anyio.CancelScope(shield=True):  # whoever comes after us may write when our thread does not
                await writer.write(piece)
        if writer.size != part.size:
            raise Problem("malformed", Text("body_incomplete"), headers=CLOSED)
        if found.hexdigest() != part.sha256:
            raise Problem("conflict", Text("backup.part_differs"), code="part_differs")
        tag = ""
        with anyio.CancelScope(shield=True):
            tag = await writer.finish()
    except ObjectMissingError as gone:
        raise ended_meanwhile() from gone
    except ObjectsError as away:
        raise store_away(away) from away
    return tag


def store_away(error: ObjectsError) -> Problem:
    key = "backup.store_full" if isinstance(error, ObjectsFullError) else "backup.store_away"
    return Problem("unavailable", Text(key), retry_after=STORE_RETRY_S, code="store_away")


def ended_meanwhile() -> Problem:
    return Problem("conflict", Text("backup.ended"), code="backup_ended")
