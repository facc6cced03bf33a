"""Sends the parts of one backup, several at once; those done in order are a checkpoint.

While the hub or the store is away, parts are asked after and sent again until the child is ended."""

from __future__ import annotations

import hashlib
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from archive.pump import PART_SIZE, ArchivePart
from device.backups.control import Assignment, ChildFailedError, ChildReport, Control
from device.backups.rules import MOST_IN_FLIGHT, park_s, parts_in_flight
from device.backups.transfer import HubAnswer, HubTransfer, Piece, TransferBrokenError

AWAY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
STORE_AWAY: Final = "store_away"
PROGRESS_EVERY_S: Final = 0.5
MOST_MALFORMED: Final = 8
"""Broken parts (400) in a row; what the hub refuses for good would else be sent all day."""


class HubBackup:
    """One thread's endpoints of one backup; calls last until answered."""

    def __init__(self, assignment: Assignment, control: Control) -> None:
        self._transfer = HubTransfer(assignment.hub, control.gate)
        self._control = control
        self._id = assignment.backup_id
        self._malformed = 0

    def begin(self, body: Mapping[str, Any]) -> HubAnswer:
        return self._until_answered(lambda: self._transfer.call("POST", f"/backups/{self._id}/upload", body))

    def complete(self, body: Mapping[str, Any]) -> HubAnswer:
        return self._until_answered(lambda: self._transfer.call("POST", f"/backups/{self._id}/complete", body))

    def put(self, part: ArchivePart, first: int, end: int, sent: Callable[[int], None]) -> HubAnswer | None:
        """One attempt with these bytes of it; None, after a pause: unknown whether the hub has them."""
        piece = Piece(memoryview(part.data)[first:end], first, len(part.data))
        path = f"/backups/{self._id}/parts/{part.number}"

        def is_unsettled(answer: HubAnswer) -> bool:
            self._malformed = self._malformed + 1 if answer.status == 400 else 0
            return is_spoiled(answer) and self._malformed < MOST_MALFORMED

        return self._once(lambda: self._transfer.put(path, piece, part.sha256, sent), 1, is_unsettled)

    def _until_answered(self, call: Callable[[], HubAnswer]) -> HubAnswer:
        failures = 0
        while True:
            failures += 1
            answer = self._once(call, failures)
            if answer is not None:
                return answer

    def _once(
        self,
        call: Callable[[], HubAnswer],
        failures: int,
        is_unsettled: Callable[[HubAnswer], bool] = lambda answer: answer.status in AWAY,
    ) -> HubAnswer | None:
        waits_for, retry_after_s = "hub", 0.0
        try:
            answer = call()
        except TransferBrokenError:
            pass
        else:
            if not is_unsettled(answer):
                return answer
            retry_after_s = answer.retry_after_s
            waits_for = "store" if answer.code == STORE_AWAY else "hub"
        self._control.report(ChildReport(waits_for=waits_for))
        time.sleep(park_s(failures, random.random(), retry_after_s))  # noqa: S311 - jitter
        return None


def is_spoiled(answer: HubAnswer) -> bool:
    """Whether a part did not get through intact: cut, stalled, damaged, or the earlier sending was still being read.
    Asking how far the upload is shows when it is gone."""
    return answer.status in AWAY or answer.status == 400 or answer.code in ("part_differs", "conflict")


class _Travelling(NamedTuple):
    part: ArchivePart
    source_bytes: int
    """Of the machine's data, since the part before."""


class PartSender:
    """`begin`: the body that asks what the hub has; `answer`: what it has. `goes_on`: an earlier process may have sent
    more. `confirmed` gets each checkpoint in order, in one thread at a time.

    A part goes in pieces where the hub keeps those of a part that breaks off, and never more than one part's bytes
    are under way: that is the most that a cut can make us send twice."""

    def __init__(
        self,
        assignment: Assignment,
        control: Control,
        begin: Mapping[str, Any],
        answer: HubAnswer,
        confirmed: Callable[[bytes | None], None],
        *,
        goes_on: bool,
    ) -> None:
        self._assignment = assignment
        self._control = control
        self._begin = begin
        # Bound: the parts of one backup, 32 bytes of a number and a sum each.
        self._have = parts_of(answer)
        self._piece = piece_of(answer)
        self._most = min(MOST_IN_FLIGHT, max(1, PART_SIZE // self._piece))
        self._unsure = MOST_IN_FLIGHT if goes_on else 0
        """So many of the next parts may be there half."""
        self._confirmed = confirmed
        self._changed = threading.Condition()
        # Bound: MOST_IN_FLIGHT, seen to by `send`.
        self._waiting: queue.SimpleQueue[_Travelling] = queue.SimpleQueue()
        self._in_flight: dict[int, _Travelling] = {}
        """Bound: MOST_IN_FLIGHT."""
        self._done: dict[int, bytes | None] = {}
        """Confirmed before those ahead of them. Bound: MOST_IN_FLIGHT."""
        self._sent: dict[int, float] = {}
        """Share that went out, of those in flight. Bound: MOST_IN_FLIGHT."""
        self._took_s: float | None = None
        self._next = 0
        self._failure: ChildFailedError | None = None
        self._reported_at = 0.0
        self._confirmed_bytes = 0.0
        self.total_bytes = 0
        for _ in range(MOST_IN_FLIGHT):
            threading.Thread(target=self._work, daemon=True).start()

    def send(self, part: ArchivePart, source_bytes: int) -> None:
        """Waits for room. Raises what ended an earlier one."""
        with self._changed:
            self._next = self._next or part.number
            self._changed.wait_for(
                lambda: (
                    self._failure or len(self._in_flight) + len(self._done) < parts_in_flight(self._took_s, self._most)
                )
            )
            self._check()
            self._in_flight[part.number] = _Travelling(part, source_bytes)
            self._waiting.put(self._in_flight[part.number])

    def finish(self) -> None:
        """Wait until all are confirmed. Raises likewise."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._in_flight)
            self._check()

    def begins_at(self, source_bytes: int) -> None:
        """Where an earlier process was."""
        self._confirmed_bytes = float(source_bytes)

    def has_before(self, part: ArchivePart) -> bool:
        """Whether the hub has all parts before it."""
        return all(number in self._have for number in range(1, part.number))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        hub = HubBackup(self._assignment, self._control)
        while True:
            travelling = self._waiting.get()
            began = time.monotonic()
            try:
                self._deliver(hub, travelling.part)
            except ChildFailedError as failed:
                with self._changed:
                    self._failure = failed
                    self._changed.notify_all()
                return
            self._arrived(travelling, time.monotonic() - began)
            del travelling  # its bytes, while this waits for the next one

    def _deliver(self, hub: HubBackup, part: ArchivePart) -> None:
        first = self._there(hub, part) if self._is_unsure(part) else 0
        while self._have.get(part.number) != part.sha256:
            end = min(len(part.data), first + self._piece)
            answer = hub.put(part, first, end, partial(self._progress, part, first))
            if answer is None:
                first = self._there(hub, part)
                continue
            refuse(answer)
            first = end
            if end == len(part.data):
                self._have[part.number] = part.sha256

    def _is_unsure(self, part: ArchivePart) -> bool:
        with self._changed:
            if self._unsure and part.number not in self._have:
                self._unsure -= 1
                return True
        return False

    def _there(self, hub: HubBackup, part: ArchivePart) -> int:
        """How much of it the hub has; a whole one is noted."""
        is_longer = len(part.data) > self._piece
        begun = hashlib.sha256(memoryview(part.data)[: self._piece]).hexdigest() if is_longer else ""
        asked = {"begun": [{"number": part.number, "sha256": begun}]} if is_longer else {}
        answer = hub.begin({**self._begin, **asked})
        refuse(answer)
        self._have.update(parts_of(answer))
        return self._piece if is_longer and part.number in answer.data.get("begun", ()) else 0

    def _arrived(self, travelling: _Travelling, took_s: float) -> None:
        with self._changed:
            number = travelling.part.number
            self._took_s = took_s
            del self._in_flight[number]
            self._sent.pop(number, None)
            self._confirmed_bytes += travelling.source_bytes
            self._done[number] = travelling.part.checkpoint
            try:
                while self._next in self._done:
                    self._confirmed(self._done.pop(self._next))
                    self._next += 1
            except OSError as full:
                self._failure = ChildFailedError("disk_full", f"how far it is cannot be kept on disk ({full.strerror})")
            self._changed.notify_all()
        self._report()

    def _progress(self, part: ArchivePart, first: int, done: int) -> None:
        with self._changed:
            self._sent[part.number] = (first + done) / max(1, len(part.data))
        self._report()

    def _report(self) -> None:
        with self._changed:
            now = time.monotonic()
            if now - self._reported_at < PROGRESS_EVERY_S:
                return
            self._reported_at = now
            under_way = sum(
                travelling.source_bytes * self._sent.get(number, 0.0) for number, travelling in self._in_flight.items()
            )
            done = min(self._confirmed_bytes + under_way, float(self.total_bytes))
        self._control.progress("sending", done, self.total_bytes)


def piece_of(answer: HubAnswer) -> int:
    """What the hub keeps of a part that breaks off; an older one keeps whole parts only."""
    size = answer.data.get("piece_size", PART_SIZE)
    return size if isinstance(size, int) and 0 < size <= PART_SIZE else PART_SIZE


def parts_of(answer: HubAnswer) -> dict[int, str]:
    found = {}
    for part in answer.data.get("parts", ()):
        if isinstance(part, dict):
            found[int(part.get("number", 0))] = str(part.get("sha256", ""))
    return found


def refuse(answer: HubAnswer) -> None:
    """Raises ChildFailedError unless it is a success."""
    if answer.is_success:
        return
    code = "" if answer.status == 400 else answer.code
    raise ChildFailedError(code or ("too_large" if answer.status == 413 else "hub_refused"), answer.message)
