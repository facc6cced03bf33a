"""Reads an archive from the hub as a stream; what is cut goes on by Range."""

from __future__ import annotations

import http.client
import io
import random
import time
from typing import TYPE_CHECKING

from archive.errors import DAMAGED, ArchiveError
from archive.manifest import Header
from device.backups.control import Assignment, ChildFailedError, ChildReport, Control
from device.backups.rules import park_s
from device.backups.sender import AWAY
from device.backups.transfer import HubTransfer, TransferBrokenError, read_answer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def chain_at_hub(header: Header, backup_id: int, device_id: str) -> tuple[int, ...]:
    """The hub's numbers of what an archive needs, its own last. A full one of this machine that was kept, and given to
    the hub again by a form, has another number there than it says. Raises ArchiveError for any other."""
    is_kept = header.backup_type == "full" and header.device_id == device_id
    if header.backup_id != backup_id and not is_kept:
        raise ArchiveError(DAMAGED, f"it is the archive of backup {header.backup_id}")
    return (*header.chain[:-1], backup_id)


class FetchedArchive(io.RawIOBase):
    """`size` is known after the first read. A hub that is away delays; a refusal raises ChildFailedError."""

    def __init__(self, assignment: Assignment, control: Control, backup_id: int, what: str = "archive") -> None:
        super().__init__()
        self._transfer = HubTransfer(assignment.hub, control.gate)
        self._control = control
        self._backup_id = backup_id
        self._what = what
        self._response: http.client.HTTPResponse | None = None
        self._at = 0
        self.size: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        failures = 0
        while self.size is None or self._at < self.size:
            try:
                response = self._response or self._open()
                wanted = self._control.gate.grant(len(view))
                count = response.readinto(view[:wanted])
            except (TransferBrokenError, OSError, http.client.HTTPException):
                count = 0
            if count:
                self._at += count
                return count
            failures += 1
            self._drop()
            if self.size is None or self._at < self.size:
                self._control.report(ChildReport(waits_for="hub"))
                time.sleep(park_s(failures, random.random()))  # noqa: S311 - jitter
        return 0

    def close(self) -> None:
        self._drop()
        super().close()

    def _open(self) -> http.client.HTTPResponse:
        response = self._transfer.opened(f"/backups/{self._backup_id}/{self._what}", self._at)
        if response.status in AWAY:
            raise TransferBrokenError(str(response.status))
        if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT) or (
            self._at and response.status == http.client.OK
        ):
            why = read_answer(response).message or f"HTTP {response.status}"
            raise ChildFailedError(
                "hub_refused", f"the {self._what} of backup {self._backup_id} cannot be fetched: {why}"
            )
        self.size = self._at + opened_length(response)
        self._response = response
        return response

    def _drop(self) -> None:
        self._response = None
        self._transfer.close()


def opened_length(response: http.client.HTTPResponse) -> int:
    """Raises TransferBrokenError."""
    if response.length is None:
        raise TransferBrokenError("the answer does not say how long it is")
    return response.length
