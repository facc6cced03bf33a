"""A command done in one step that changes more than the status: what follows and the answer are one fact on disk."""

from __future__ import annotations

from typing import Any, Protocol

from device.journal.rules import Fact
from device.link.rules import Moment
from device.status.rules import MachineState

Decided = tuple[Fact, dict[str, object]]
"""The fact, still without the command's answer, and the result for that answer."""


class Step(Protocol):
    """One command. Neither method may wait."""

    def decide(self, state: MachineState, args: Any, now: Moment, /) -> Decided:
        """What follows. Raises RefusedError."""

    def done(self, args: Any) -> None:
        """The fact is on disk; what lives in this process only can begin or end."""
