"""Serves archives and their manifests: to the machine's own key, or to a person with a link that opens once."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Final, NamedTuple

import anyio
import msgspec
from msgspec.structs import replace
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from db.backup_records import BackupRow
from db.queries import backups as rows
from db.queries import users
from hub.backups.api import find
from hub.backups.rules import life
from hub.backups.service import Backups
from hub.backups.upload import store_away
from hub.kernel.objects.place import ObjectMissingError, ObjectsError
from hub.model.access import ACTIONS, machines_of
from hub.model.backups import is_there
from hub.model.views import rfc3339
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.download_slots import DownloadSlots
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import Instant
from hub.web.shell.page import refusal_page, wants_page

OPEN_WITHIN_S: Final = 60.0
RESUME_WITHIN_S: Final = 3600.0
"""An opened link gives the rest of a broken download for so long, to the same address."""
MOST_LINKS: Final = 1000
TAKEN_WITHIN_S: Final = 30.0
"""Of one piece, by a slow reader."""
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
_EASY: Final = re.compile(r"[^A-Za-z0-9._-]+")


class BackupDownloads(DownloadSlots):
    def __init__(self) -> None:
        super().__init__("backup_download")


class Link(NamedTuple):
    """`user_id` made it; `address` opened it; `is_resumed`: not for the first time."""

    backup_id: int
    user_id: int
    until: float
    address: str | None = None
    is_resumed: bool = False


class DownloadLinks:
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._links: OrderedDict[str, Link] = OrderedDict()  # Bound: MOST_LINKS, the oldest goes first

    def make(self, backup_id: int, user_id: int) -> str:
        token = secrets.token_urlsafe(32)
        self._links[token] = Link(backup_id, user_id, self._monotonic() + OPEN_WITHIN_S)
        if len(self._links) > MOST_LINKS:
            self._links.popitem(last=False)
        return token

    def open(self, token: str, address: str, *, resumes: bool, looks: bool = False) -> Link | None:
        """None: unknown, expired or opened already. `resumes`: the caller has its beginning; `looks`: a HEAD, which
        uses nothing up."""
        link, now = self._links.get(token), self._monotonic()
        if link is None or now >= link.until:
            self._links.pop(token, None)
            return None
        if link.address is None:
            if looks:
                return link
            self._links[token] = opened = link._replace(until=now + RESUME_WITHIN_S, address=address)
            return opened
        same = hmac.compare_digest(link.address.encode(), address.encode())
        return link._replace(is_resumed=True) if resumes and same else None


class Asked(NamedTuple):
    """The wanted stretch of a file: `end` is behind its last byte."""

    start: int
    end: int
    is_part: bool


def asked(header: str | None, size: int) -> Asked | None:
    """None: cannot be had (416). An unknown Range asks for all of it (RFC 9110, 14.2)."""
    match = _RANGE.match((header or "").replace(" ", ""))
    first, last = match.groups() if match is not None else ("", "")
    if not first and not last:
        return Asked(0, size, False)
    if not first:
        return Asked(max(0, size - int(last)), size, True) if int(last) and size else None
    if int(first) >= size or (last and int(last) < int(first)):
        return None if int(first) >= size else Asked(0, size, False)
    return Asked(int(first), min(size, int(last) + 1) if last else size, True)


async def download_archive(call: Call) -> Answer:
    """For a restore or a check, by the backup's own machine."""
    return Answer(await _archive(call, await find(call), call.principal.actor))


async def download_manifest(call: Call) -> Answer:
    """The gzipped manifest, by the same machine: enough to preview a restore."""
    row = await find(call)
    if row.manifest_key is None:
        raise Problem("conflict", Text("backup.no_list"), code="no_list")
    try:
        size = await call.context[Backups].objects.size(row.manifest_key)
    except ObjectMissingError as gone:
        raise Problem("conflict", Text("backup.no_list"), code="no_list") from gone
    except ObjectsError as away:
        raise store_away(away) from away
    listed = replace(row, file_path=row.manifest_key, file_size=size, sha256=f"{row.sha256}-manifest")
    return Answer(await _archive(call, listed, call.principal.actor))


class DownloadLink(msgspec.Struct):
    """`url` opens once, until `expires_at`; then it gives the rest of a broken download."""

    url: str
    expires_at: Instant


async def make_link(call: Call) -> Answer:
    row = await find(call)
    _must_be_there(row)
    await call.announce(life.downloaded(row, call.principal.actor, call.now))
    token = call.context[DownloadLinks].make(row.id, call.principal.id)
    ends = rfc3339(call.now + timedelta(seconds=OPEN_WITHIN_S))
    url = f"{call.context.settings.base_path}/api/v2/backup-downloads/{token}"
    return Answer({"url": url, "expires_at": ends}, 201)


async def use_link(call: Call) -> Answer:
    """A person who opens it again gets a page."""
    try:
        return await _opened_link(call)
    except Problem as refused:
        if not wants_page(call.request):
            raise
        return Answer(await refusal_page(call, refused, "link"))


async def _opened_link(call: Call) -> Answer:
    resumes = "if-range" in call.request.headers and "range" in call.request.headers
    token, looks = call.request.path_params["token"], call.request.method == "HEAD"
    link = call.context[DownloadLinks].open(token[:100], call.address, resumes=resumes, looks=looks)
    row = None if link is None else await rows.find(call.context.store, link.backup_id)
    if link is None or row is None or not await _still_may(call, link.user_id, row.rvm_id):
        raise not_found()
    if call.context.settings.backup_download == "presigned" and row.file_path is not None and not looks:
        address = await _presigned(call, row)
        if address is not None:
            return Answer(RedirectResponse(address, 302))
    return Answer(await _archive(call, row, f"link:{token[:8]}", only_part=link.is_resumed))


async def _still_may(call: Call, user_id: int, rvm_id: int) -> bool:
    """Whether the maker of a link still has the right."""
    user = await users.find_user(call.context.store, user_id)
    if user is None or user.disabled_at is not None or user.role not in ACTIONS["backup.download"]:
        return False
    reached = machines_of(user.role, user.machines)
    return reached is None or rvm_id in reached


async def _presigned(call: Call, row: BackupRow) -> str | None:
    objects, name = call.context[Backups].objects, file_name(call, row)
    try:
        return await objects.presign(row.file_path or "", name, int(OPEN_WITHIN_S))
    except ObjectsError as away:
        raise store_away(away) from away


async def _archive(call: Call, row: BackupRow, who: str, *, only_part: bool = False) -> Response:
    _must_be_there(row)
    size, tag = row.file_size or 0, f'"{row.sha256}"'
    stale = call.request.headers.get("if-range", tag) != tag
    wanted = asked(None if stale else call.request.headers.get("range"), size)
    headers = {
        "Accept-Ranges": "bytes", "ETag": tag, "X-Accel-Buffering": "no",
        "Content-Disposition": f'attachment; filename="{file_name(call, row)}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip
    if only_part and (wanted is None or not wanted.is_part):
        raise not_found()
    if wanted is None:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(wanted.end - wanted.start)
    if wanted.is_part:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{size}"
    status = 206 if wanted.is_part else 200
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    return await _opened(call, row, who, wanted, Response(status_code=status, headers=headers))


async def _opened(call: Call, row: BackupRow, who: str, wanted: Asked, head: Response) -> Response:
    """The first piece is read before the answer begins: a store that is away is a 503."""
    slots = call.context[BackupDownloads]
    slots.begin(who)
    try:
        stream = call.context[Backups].objects.stream(row.file_path or "", wanted.start, wanted.end - wanted.start)
        first = await anext(stream, b"")
    except BaseException as failed:
        slots.end(who)
        if isinstance(failed, ObjectMissingError):
            raise Problem("conflict", Text("backup.lost"), code="backup_lost") from failed
        if isinstance(failed, ObjectsError):
            raise store_away(failed) from failed
        raise
    return ArchiveStream(head, first, stream, lambda: slots.end(who))


class ArchiveStream(Response):
    """An answer that breaks off is left incomplete."""

    def __init__(
        self, head: Response, first: bytes, stream: AsyncGenerator[bytes, None], ended: Callable[[], None]
    ) -> None:
        super().__init__(status_code=head.status_code, headers=dict(head.headers), media_type=_MEDIA)
        self._first = first
        self._stream = stream
        self._ended = ended

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._stream), anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
                await self._send_all(send)
                tasks.cancel_scope.cancel()
        finally:
            self._ended()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await _send(self._first, send)
            async for piece in self._stream:
                await _send(piece, send)
        except (ObjectsError, TimeoutError):
            return
        await send({"type": "http.response.body", "body": b""})


async def _send(piece: bytes, send: Send) -> None:
    with anyio.fail_after(TAKEN_WITHIN_S):
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


_MEDIA: Final = "application/octet-stream"


def _must_be_there(row: BackupRow) -> None:
    if not is_there(row) or row.file_path is None:
        raise Problem("conflict", Text("backup.no_archive"), code="no_archive")


def file_name(call: Call, row: BackupRow) -> str:
    machine = call.context.fleet.machines.get(row.rvm_id)
    name = _EASY.sub("_", "" if machine is None else machine.name).strip("_") or f"machine-{row.rvm_id}"
    ending = (row.file_path or "").rpartition("/")[2].partition(".")[2]
    return f"{name[:60]}-backup-{row.id}-{row.created_at:%Y%m%d-%H%M}.{ending}"


_TAG: Final = "Backups"

OPERATIONS = (
    Operation(
        name="download_backup_archive", method="GET", path="/v2/rvms/{id}/backups/{backup_id}/archive",
        handler=download_archive, tag=_TAG, summary="The archive, by the machine's own key",
        action="backup.fetch", answers={200: bytes, 206: bytes}, refusals=(409, 416), other_media=(_MEDIA,),
        description="Whole, or the stretch that a Range header names; the ETag is its sha256. 409: `no_archive`; 503 "
        "while the object store is away.",
    ),
    Operation(
        name="download_backup_manifest", method="GET", path="/v2/rvms/{id}/backups/{backup_id}/manifest",
        handler=download_manifest, tag=_TAG, summary="What an archive holds, by the machine's own key",
        action="backup.fetch", answers={200: bytes, 206: bytes}, refusals=(409, 416), other_media=(_MEDIA,),
        description="JSON lines, gzipped. 409 with the code `no_list` while it was not drilled, or is encrypted.",
    ),
    Operation(
        name="make_backup_download", method="POST", path="/v2/rvms/{id}/backups/{backup_id}/download",
        handler=make_link, tag=_TAG, summary="A link to the archive that opens once", action="backup.download",
        answers={201: DownloadLink}, refusals=(409,),
        description="It opens within 60 s, for whoever has it, and is on the audit log from now. A download that broke "
        "off goes on with Range and If-Range, from the same address, for an hour.",
    ),
    Operation(
        name="use_backup_download", method="GET", path="/v2/backup-downloads/{token}", handler=use_link, tag=_TAG,
        summary="The archive that a link leads to", action=None, answers={200: bytes, 206: bytes},
        refusals=(404, 409, 416, 429), other_media=(_MEDIA,),
        description="The link is the credential. Where the hub is set to `backup_download presigned` and the store is "
        "S3, the answer leads there. A refusal is a page where the request accepts text/html.",
    ),
)  # fmt: skip
