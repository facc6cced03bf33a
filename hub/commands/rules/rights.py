"""Whether whoever issued a command still may, at the moment at which it would be sent. Knows no credential.

A wish can wait for a day. Who was disabled, removed, or lost the role or the machine meanwhile wishes nothing any more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from hub.model.access import ACTIONS, machines_of


class Issuer(Protocol):
    """What is known of the user now (db.users.UserRow)."""

    @property
    def role(self) -> str: ...
    @property
    def disabled_at(self) -> datetime | None: ...
    @property
    def machines(self) -> frozenset[int]: ...


def still_may(issuer: Issuer | None, rvm_id: int) -> bool:
    """None: there is no such user any more."""
    if issuer is None or issuer.disabled_at is not None or issuer.role not in ACTIONS["command.send"]:
        return False
    reached = machines_of(issuer.role, issuer.machines)
    return reached is None or rvm_id in reached
