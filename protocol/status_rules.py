"""Which statuses a machine may take, as one table that both ends obey: the hub refuses early, the machine has the say.

A rule speaks of what is physically so. Who may ask at all is another room's business.
"""

from __future__ import annotations

from typing import Final

from protocol.kinds import Status
from protocol.messages import Failure

FULL_PERCENT: Final = 100


def refusal(status: Status, capacity: int | None) -> Failure | None:
    """Why a machine that is filled to `capacity` percent (None: it cannot tell) may not be `status`; None when it may.

    `capacity` is the one that would hold afterwards.
    """
    if status == "active" and capacity is not None and capacity >= FULL_PERCENT:
        return Failure(
            code="still_full", message="a machine at 100 % takes no bottles: empty it, or report less, first"
        )
    if status == "full" and capacity == 0:
        return Failure(code="not_full", message="a machine at 0 % is not full: report its capacity with the status")
    return None


def lawful(status: Status, capacity: int | None) -> Status:
    """`status`, or what a machine filled to `capacity` percent is instead when it may not be that."""
    refused = refusal(status, capacity)
    if refused is None:
        return status
    return "full" if refused.code == "still_full" else "active"
