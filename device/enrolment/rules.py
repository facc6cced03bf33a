"""Decides what an enrolment that was begun goes on with, and what it leaves in the machine's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from protocol import enrolment
from protocol.limits import MAX_NAME


class PendingEnrolment(msgspec.Struct, frozen=True):
    """On disk from before the first question until the machine's file is written. `key`: made here, known to nobody
    else yet."""

    hub: str
    key: str
    code: str


def begun(before: PendingEnrolment | None, hub: str, code: str | None, key: str) -> PendingEnrolment | None:
    """What to go on with: the same key at the same hub, else a new one's. None: a code is needed."""
    if before is not None and before.hub == hub:
        return before if code is None else msgspec.structs.replace(before, code=code)
    return None if code is None else PendingEnrolment(hub, key, code)


def request(pending: PendingEnrolment, facts: Mapping[str, str | None]) -> enrolment.EnrolmentRequest:
    prefix, _, _ = pending.key.rpartition("_")
    return enrolment.EnrolmentRequest(
        code=pending.code, key_prefix=prefix, key_hash=enrolment.key_hash(pending.key),
        **{name: in_one_line(value) for name, value in facts.items()},
    )  # fmt: skip


def in_one_line(value: str | None) -> str | None:
    plain = "".join(c for c in value or "" if c.isprintable()).strip()[:MAX_NAME]
    return plain or None


_OURS: Final = ("myrvm_base_url", "rvm_id", "api_token", "allow_plain_http", "hub_ca")


def machine_file(
    before: Mapping[str, Any], pending: PendingEnrolment, device_id: str, *, plain_http: bool, authority: str
) -> dict[str, Any]:
    """With all that stood there and does not concern the hub. `authority`: the file of its own, "" for the system's."""
    kept = {key: value for key, value in before.items() if key not in _OURS}
    ours: dict[str, Any] = {"myrvm_base_url": pending.hub, "rvm_id": device_id, "api_token": pending.key}
    if plain_http:
        ours["allow_plain_http"] = True
    if authority:
        ours["hub_ca"] = authority
    return {**ours, **kept}
