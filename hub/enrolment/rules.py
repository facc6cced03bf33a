"""Decides what a one-time code lets in, and what becomes of a machine that came with one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from hub.machines import rules as machines
from hub.machines.rules import NamedMachine
from hub.model import actors, credentials
from hub.model.actors import Actor
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.credentials import Secret
from hub.model.machine import Machine
from protocol import enrolment

Approval = Literal["at_once", "waiting"]
CodeFault = Literal["unknown", "revoked", "used", "expired"]

LIFETIME: Final = timedelta(hours=1)
MOST_USES: Final = 1000
LONGEST: Final = timedelta(days=90)
MOST_CODES: Final = 200
"""Usable at once."""
SEEN_EVERY: Final = timedelta(seconds=30)
"""A machine that waits asks every few seconds; a row is not written as often."""
MOST_OF_A_NAME: Final = 90
MACHINE_FACTS: Final = (
    "hostname", "model", "board_serial", "machine_id", "agent_version", "architecture", "os", "l4t",
)  # fmt: skip


def new_code(
    *, name: str | None, rvm_id: int | None, uses: int, approval: Approval, lifetime: timedelta, by: Actor,
    now: datetime,
) -> tuple[Secret, list[Change]]:  # fmt: skip
    """The code is shown once; the row has its hash."""
    secret = credentials.new_code()
    row = EnrolmentCodeRow(
        hash=secret.hash, prefix=secret.prefix, name=name, rvm_id=rvm_id, uses=uses, approval=approval, created_by=by,
        created_at=now, expires_at=now + lifetime,
    )  # fmt: skip
    params = {
        "prefix": row.prefix, "name": name, "rvm_id": rvm_id, "uses": uses, "approval": approval,
        "expires_at": row.expires_at.isoformat(),
    }  # fmt: skip
    return secret, [Put(row), EventHappened(at=now, code="enrolment.code_made", actor=by, params=params, after=params)]


def revoke_code(row: EnrolmentCodeRow, by: Actor, now: datetime) -> list[Change]:
    """Conflict "id": revoked already, or gone."""
    params = {"prefix": row.prefix, "name": row.name, "used": row.used}
    event = EventHappened(at=now, code="enrolment.code_revoked", actor=by, params=params, before=params)
    gone = Patch(EnrolmentCodeRow, row.id, {"revoked_at": now}, where=(("revoked_at", "=", None),), must="id")
    return [gone, event]


def code_fault(row: EnrolmentCodeRow | None, now: datetime) -> CodeFault | None:
    """None: it lets one in."""
    if row is None:
        return "unknown"
    if row.revoked_at is not None:
        return "revoked"
    if row.used >= row.uses:
        return "used"
    return "expired" if row.expires_at <= now else None


def request(
    asked: enrolment.EnrolmentRequest,
    code: EnrolmentCodeRow,
    target: Machine | None,
    others: Iterable[NamedMachine],
    address: str,
    now: datetime,
) -> list[Change]:
    """Of a machine with a good code. Conflict "used": another was faster."""
    facts = {name: getattr(asked, name) for name in MACHINE_FACTS}
    row = EnrolmentRow(
        code_id=code.id, rvm_id=code.rvm_id, state="waiting", key_prefix=asked.key_prefix, key_hash=asked.key_hash,
        ip_address=address or None, created_at=now, last_seen_at=now, **facts,
    )  # fmt: skip
    spent = Patch(
        EnrolmentCodeRow, code.id, {"used": code.used + 1}, must="used",
        where=(("used", "=", code.used), ("revoked_at", "=", None), ("expires_at", ">", now)),
    )  # fmt: skip
    if code.approval == "waiting":
        params = _known(row)
        asks = EventHappened(at=now, code="enrolment.requested", actor=actors.ENROLMENT, params=params)
        return [spent, Put(row), asks]
    admitted = msgspec.structs.replace(row, state="approved", decided_by=code.created_by, decided_at=now)
    return [spent, Put(admitted), *_admitted(row, target, None, None, others, actors.ENROLMENT, now)]


def seen(row: EnrolmentRow, address: str, now: datetime) -> list[Change]:
    """It asked again; [] when that is no news."""
    is_fresh = timedelta(0) <= now - row.last_seen_at < SEEN_EVERY
    if is_fresh and row.ip_address == (address or None):
        return []
    return [Patch(EnrolmentRow, row.id, {"last_seen_at": now, "ip_address": address or None})]


def approve(
    row: EnrolmentRow, target: Machine | None, name: str | None, location: str | None,
    others: Iterable[NamedMachine], by: Actor, now: datetime,
) -> list[Change]:  # fmt: skip
    """`target`: the machine whose key it becomes, None: a new one. Conflict "state": decided meanwhile."""
    decided = _decided(row, "approved", by, now, target)
    return [decided, *_admitted(row, target, name, location, others, by, now)]


def reject(row: EnrolmentRow, by: Actor, now: datetime) -> list[Change]:
    """Conflict "state": decided meanwhile."""
    refused = EventHappened(at=now, code="enrolment.rejected", actor=by, params=_known(row))
    return [_decided(row, "rejected", by, now, None), refused]


def _decided(row: EnrolmentRow, state: str, by: Actor, now: datetime, target: Machine | None) -> Patch:
    values: dict[str, Any] = {"state": state, "decided_by": by, "decided_at": now}
    if target is not None:
        values["rvm_id"] = target.id
    return Patch(EnrolmentRow, row.id, values, where=(("state", "=", "waiting"),), must="state")


def _admitted(
    row: EnrolmentRow, target: Machine | None, name: str | None, location: str | None,
    others: Iterable[NamedMachine], by: Actor, now: datetime,
) -> list[Change]:  # fmt: skip
    """The key is the machine's from now on."""
    if target is not None:
        known = {"name": target.name, "device_id": target.row.device_id}
        key: Change = machines.replaced_key(target.id, row.key_prefix, row.key_hash, now)
    else:
        called = name or free_name(row, [one.name for one in others])
        facts = machines.MachineFacts(called, location=location)
        made, key = machines.machine_with(facts, row.key_prefix, row.key_hash, by, now)
        known = {"name": made.name, "device_id": made.device_id}
    event = EventHappened(
        at=now, code="machine.enrolled", actor=by, rvm_id=None if target is None else target.id,
        params={**known, **_known(row)},
        before=None if target is None else {"api_key_prefix": target.row.api_key_prefix},
        after={"api_key_prefix": row.key_prefix},
    )  # fmt: skip
    return [key, event]


def free_name(row: EnrolmentRow, taken: Collection[str]) -> str:
    """Its host name, with a number where another has it."""
    seen_chars = "".join(c for c in row.hostname or "" if c.isprintable() and c.isascii())
    base = " ".join(seen_chars.split())[:MOST_OF_A_NAME].strip() or "RVM"
    folded = {name.casefold() for name in taken}
    number, name = 1, base
    while name.casefold() in folded:
        number += 1
        name = f"{base} {number}"
    return name


def _known(row: EnrolmentRow) -> dict[str, Any]:
    return {
        "fingerprint": enrolment.fingerprint(row.key_hash), "hostname": row.hostname, "model": row.model,
        "ip": row.ip_address,
    }  # fmt: skip
