"""What the machine must not forget, as a fold over facts: its state, the ids it has answered, its unconfirmed words.

One fact is one record on disk, so a status and the command that set it are remembered together or not at all.
"""

from __future__ import annotations

from typing import Final

import msgspec

from device.core.machine_state import MachineState
from device.core.outbox import Outbox
from protocol.messages import CommandUpdate, StatusReport

KEEP_IDS: Final = 10_000
KEEP_IDS_S: Final = 24 * 3600.0
MOST_IDS: Final = 50_000
"""Even a hub gone mad may not fill the memory: beyond this the oldest ids go, however young."""


class Fact(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened. `at` is Unix seconds of the machine's clock."""

    at: float
    state: MachineState | None = None
    answered: CommandUpdate | None = None
    """A command's final update; remembered by its id."""
    reported: StatusReport | None = None
    received: int | str | None = None
    unconfirmed: bool = True
    """False in a summary for an answer the hub has already received."""


class Memory:
    """The present, after all facts so far."""

    def __init__(self) -> None:
        self.state = MachineState()
        self.outbox = Outbox()
        # Encoded answers: ten thousand of them must stay small.
        self._answers: dict[str, tuple[float, bytes]] = {}

    def apply(self, fact: Fact) -> None:
        if fact.state is not None:
            self.state = fact.state
        if fact.answered is not None:
            self._answers[fact.answered.id] = (fact.at, msgspec.json.encode(fact.answered))
            if fact.unconfirmed:
                self.outbox.put(fact.answered)
            self._forget(fact.at)
        if fact.reported is not None:
            self.outbox.put(fact.reported)
        if fact.received is not None:
            self.outbox.received(fact.received)

    def answer_to(self, command_id: str) -> CommandUpdate | None:
        """What was answered when this id came before; None for a new id."""
        known = self._answers.get(command_id)
        return None if known is None else msgspec.json.decode(known[1], type=CommandUpdate)

    def __len__(self) -> int:
        return len(self._answers)

    def summary(self) -> list[Fact]:
        """The shortest list of facts that leads here: what a journal is rewritten as."""
        waiting = {entry.id for entry in self.outbox.entries() if isinstance(entry, CommandUpdate)}
        facts = [Fact(at=0.0, state=self.state)]
        facts += [
            Fact(at=at, answered=msgspec.json.decode(raw, type=CommandUpdate), unconfirmed=command_id in waiting)
            for command_id, (at, raw) in self._answers.items()
        ]
        facts += [Fact(at=0.0, reported=e) for e in self.outbox.entries() if isinstance(e, StatusReport)]
        return facts

    def _forget(self, now: float) -> None:
        while len(self._answers) > KEEP_IDS:
            oldest = next(iter(self._answers))
            young = now - self._answers[oldest][0] < KEEP_IDS_S
            if young and len(self._answers) <= MOST_IDS:
                return
            del self._answers[oldest]
