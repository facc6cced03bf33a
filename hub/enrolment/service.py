"""Lets machines with a code in, one at a time, and keeps guesses at codes slow."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Final

import anyio

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.errors import Conflict
from db.queries import enrolments
from hub.enrolment import rules
from hub.kernel.context import HubContext
from hub.model import credentials
from hub.model.machine import Machine
from hub.web.auth.limits import AddressLimiter
from hub.web.http.problems import Problem, Text
from protocol import enrolment

REQUESTS_PER_MINUTE: Final = 600.0
"""Of one address: fifty machines behind one router, each every five seconds."""
REQUESTS_AT_ONCE: Final = 200.0
TRIES: Final = 5
"""Another hub on this database may spend the same code."""


class Enrolments:
    """`request` for a machine, whose address may try few wrong codes."""

    def __init__(self) -> None:
        self.wrong_codes = AddressLimiter()
        self.requests = AddressLimiter(REQUESTS_PER_MINUTE, REQUESTS_AT_ONCE)
        self.turn = anyio.Lock()

    async def request(
        self, context: HubContext, asked: enrolment.EnrolmentRequest, address: str, now: datetime
    ) -> EnrolmentRow:
        """A machine that comes again is the same enrolment. Raises the 403 for a code that lets nobody in, 429."""
        _limit(self.requests, address)
        known = await _known(context, asked)
        if known is not None:
            await context.announce(*rules.seen(known, address, now))
            return known
        # Charged before the look, so that no guess is free; a good code gives it back.
        _limit(self.wrong_codes, address)
        async with self.turn:
            row = await _admit(context, asked, address, now)
        self.wrong_codes.give_back(address)
        return row


def _limit(limiter: AddressLimiter, address: str) -> None:
    wait = limiter.charge(address)
    if wait is not None:
        raise Problem("too-many-requests", Text("slow_down", {"count": int(wait)}), retry_after=wait)


async def _known(context: HubContext, asked: enrolment.EnrolmentRequest) -> EnrolmentRow | None:
    row = await enrolments.find_enrolment_by_prefix(context.store, asked.key_prefix)
    return row if row is not None and credentials.same_hash(asked.key_hash, row.key_hash) else None


async def _admit(context: HubContext, asked: enrolment.EnrolmentRequest, address: str, now: datetime) -> EnrolmentRow:
    for _ in range(TRIES):
        code = await _good_code(context, asked.code, now)
        if context.fleet.by_key_prefix(asked.key_prefix) is not None:
            raise refused()
        target, others = machine_of(context, code.rvm_id), [m.row for m in context.fleet.machines.values()]
        if target is None and code.rvm_id is not None:  # removed a moment ago
            raise refused()
        with contextlib.suppress(Conflict):  # another hub spent it, took the name, or stored this very request
            await context.announce(*rules.request(asked, code, target, others, address, now))
        row = await _known(context, asked)
        if row is not None:
            return row
    raise Problem("unavailable", Text("unavailable"), retry_after=enrolment.RETRY_S)


async def _good_code(context: HubContext, typed: str, now: datetime) -> EnrolmentCodeRow:
    text = enrolment.normal_code(typed)
    row = None if text is None else await enrolments.find_code_by_hash(context.store, credentials.hash_of(text))
    if row is None or rules.code_fault(row, now) is not None:
        raise refused()
    return row


def refused() -> Problem:
    """The same for a code that never was, is spent or is over: who guesses learns nothing."""
    return Problem("forbidden", Text("enrolment.code"), code="enrolment_code")


def machine_of(context: HubContext, rvm_id: int | None) -> Machine | None:
    return None if rvm_id is None else context.fleet.machines.get(rvm_id)
