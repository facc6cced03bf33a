"""The remote access a reader holds, for the chip on top of every page. Knows the fleet in memory and no request."""

from __future__ import annotations

import math
from typing import NamedTuple

from dashboard import leases
from dashboard.reader import Reader
from hub.kernel.context import HubContext
from hub.model import views
from hub.model.access import Principal


class OwnLease(NamedTuple):
    rvm_id: int
    machine: str
    status: str
    expires_at: int
    left: str


def own_lease(context: HubContext, person: Principal, reader: Reader) -> OwnLease | None:
    """The open one that ends first, whoever else is on its machine."""
    found = []
    for machine in context.fleet.machines.values():
        for session in machine.remote_sessions.values():
            if session.is_open and session.admin_id == person.id:
                ends = views.epoch_ms(session.expires_at) or 0
                left = leases.left(reader, {"status": session.status, "expires_at": ends})
                found.append(OwnLease(machine.id, machine.name, session.status, ends, left))
    return min(found, key=lambda own: own.expires_at or math.inf, default=None)
