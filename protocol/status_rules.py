"""Which statuses a machine may take, as one table for both ends: the hub refuses early, the machine decides.

By what is physically so, not by who asks."""

from __future__ import annotations

from typing import Final

from protocol.kinds import Status
from protocol.messages import Failure

FULL_PERCENT: Final = 100


def refusal(status: Status, capacity: int | None) -> Failure | None:
    """Why a machine filled to `capacity` percent (None: unknown) may not be `status`.

    `capacity` is the one that would hold afterwards."""
    if status == "active" and capacity is not None and capacity >= FULL_PERCENT:
        return Failure(
            code="still_full", message="a machine at 100 % takes no bottles: empty it, or report less, first"
        )
    if status == "full" and capacity == 0:
        return Failure(code="not_full", message="a machine at 0 % is not full: report its capacity with the status")
    return None


def lawful(status: Status, capacity: int | None) -> Status:
    """`status`, or what a machine filled to `capacity` percent is instead."""
    refused = refusal(status, capacity)
    if refused is None:
        return status
    return "full" if refused.code == "still_full" else "active"
