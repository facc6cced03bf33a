"""What the handlers of one machine's durable messages share: whose link it is, and how a Change is committed.

A handler (`heard_*.py`, a file for each subject) commits first and answers `received` after it. Knows no message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db.connection import Store
from db.errors import Conflict, Rejected
from hub.kernel.announce import Announcer
from hub.kernel.retry import RetryUntilAvailable
from hub.links.link import Link
from hub.links.links import Links
from hub.model.changes import Change
from hub.model.machine import Boot, Machine
from protocol import messages as m

logger = logging.getLogger("myrvm.link")

Outcome = Literal["committed", "decided", "refused"]


@dataclass(frozen=True, slots=True)
class Talk:
    """One machine's link after hello. `machine` and `boot` are those of the hello."""

    link: Link
    machine: Machine
    boot: Boot
    links: Links
    announce: Announcer
    store: Store
    clock: Callable[[], datetime]

    @property
    def zone(self) -> str:
        """What naive timestamps are read in while the machine's own zone is not known."""
        return self.machine.in_force.default_zone

    @property
    def retry(self) -> RetryUntilAvailable:
        """For what is asked of the database: a machine's message waits until it is there."""
        return self.links.retry

    async def commit(self, changes: Sequence[Change], ref: int | str | None = None) -> bool:
        """Until it is committed, or was decided otherwise before (True); False when no retry can store it."""
        return await self.attempt(changes, ref) != "refused"

    async def attempt(self, changes: Sequence[Change], ref: int | str | None = None) -> Outcome:
        """Like `commit`, and tells whether it was `decided` otherwise before."""
        try:
            if changes:
                await self.retry(lambda: self.announce(*changes))
        except Conflict as conflict:
            logger.info("machine %d: already decided: %s", self.machine.id, conflict)
            return "decided"
        except Rejected as rejected:
            logger.warning("machine %d: the database refuses what it said: %s", self.machine.id, rejected)
            self.link.say(m.Error(code="invalid", message="this cannot be stored", ref=ref))
            return "refused"
        return "committed"
