"""What the machine must not lose, as a fold over facts: its state, commands answered or begun, open remote sessions,
what the hub has not confirmed.

One fact is one record on disk. When the outbox is full, commands are refused as `busy` and old reports give way to
new ones."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from device.remote.rules.sessions import JournaledSession
from device.status.rules import MachineState
from protocol.messages import CommandUpdate, RemoteAccessReport, StatusReport

Entry = CommandUpdate | StatusReport | RemoteAccessReport
MAX_RESULTS: Final = 1000
MAX_REPORTS: Final = 100


def ref_of(entry: Entry) -> int | str:
    """The reference by which the hub's `received` names an entry."""
    if isinstance(entry, RemoteAccessReport):
        return f"session-{entry.session_id}"
    return entry.id if isinstance(entry, CommandUpdate) else entry.seq


class Outbox:
    def __init__(self) -> None:
        # Bound: MAX_RESULTS (`full` refuses commands), MAX_REPORTS of each other kind.
        self._entries: dict[int | str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        return sum(isinstance(e, CommandUpdate) for e in self._entries.values()) >= MAX_RESULTS

    def put(self, entry: Entry) -> None:
        self._entries[ref_of(entry)] = entry
        for kind in (StatusReport, RemoteAccessReport):
            reports = [ref for ref, kept in self._entries.items() if isinstance(kept, kind)]
            for ref in reports[: max(0, len(reports) - MAX_REPORTS)]:
                del self._entries[ref]

    def received(self, ref: int | str) -> bool:
        return self._entries.pop(ref, None) is not None

    def get(self, ref: int | str) -> Entry | None:
        return self._entries.get(ref)

    def entries(self) -> list[Entry]:
        return list(self._entries.values())


KEEP_IDS: Final = 10_000
KEEP_IDS_S: Final = 24 * 3600.0
MOST_IDS: Final = 50_000
"""Beyond this the oldest go, however young."""


Ending = Literal["none", "boot", "process"]
"""What the end of the agent's process means for a begun command: nothing; success once the machine has rebooted;
success once the agent has started again."""


class Begun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command whose effect may have happened, and whose end is unknown. `boot`: the run of the machine."""

    id: str
    name: str
    boot: str
    ending: Ending = "none"


class Fact(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One step of what the machine remembers, one record on disk. `at`: Unix seconds of the machine's clock."""

    at: float
    state: MachineState | None = None
    answered: CommandUpdate | None = None
    """A final update; remembered by the command's id."""
    accepted: str | None = None
    begun: Begun | None = None
    reported: StatusReport | None = None
    session: JournaledSession | None = None
    """Open from now on, or for longer."""
    ended: tuple[RemoteAccessReport, ...] = ()
    received: int | str | None = None
    unconfirmed: bool = True
    """False in a summary for what the hub has received."""


class Memory:
    def __init__(self) -> None:
        self.state = MachineState()
        self.outbox = Outbox()
        # Bound: MAX_JOBS and MAX_WAITING of the work.
        self.accepted: dict[str, None] = {}
        # Bound: MAX_JOBS of the work.
        self.begun: dict[str, Begun] = {}
        # Bound: two at once, by the hub and by the machine itself.
        self.sessions: dict[int, JournaledSession] = {}
        # Encoded answers: ten thousand of them must stay small.
        # Bound: KEEP_IDS and what is younger than KEEP_IDS_S, MOST_IDS at most.
        self._answers: dict[str, tuple[float, bytes]] = {}

    def apply(self, fact: Fact) -> None:
        if fact.state is not None:
            self.state = fact.state
        if fact.accepted is not None:
            self.accepted[fact.accepted] = None
        if fact.begun is not None:
            self.accepted.pop(fact.begun.id, None)
            self.begun[fact.begun.id] = fact.begun
        if fact.answered is not None:
            self.accepted.pop(fact.answered.id, None)
            self.begun.pop(fact.answered.id, None)
            self._answers[fact.answered.id] = (fact.at, msgspec.json.encode(fact.answered))
            if fact.unconfirmed:
                self.outbox.put(fact.answered)
            self._expire_answers(fact.at)
        if fact.session is not None:
            self.sessions[fact.session.id] = fact.session
        if fact.reported is not None:
            self.outbox.put(fact.reported)
        for report in fact.ended:
            self.sessions.pop(report.session_id, None)
            self.outbox.put(report)
        if fact.received is not None:
            self.outbox.received(fact.received)

    def answer_to(self, command_id: str) -> CommandUpdate | None:
        """The answer that was given to this command before; None: it is new."""
        known = self._answers.get(command_id)
        return None if known is None else msgspec.json.decode(known[1], type=CommandUpdate)

    def drop_accepted(self) -> list[str]:
        """Drop commands that were accepted and not begun, which the hub sends again; returns their ids."""
        ids = list(self.accepted)
        self.accepted.clear()
        return ids

    def __len__(self) -> int:
        return len(self._answers)

    def summary(self) -> list[Fact]:
        """The fewest facts that lead to this memory, to begin a new journal with."""
        waiting = {entry.id for entry in self.outbox.entries() if isinstance(entry, CommandUpdate)}
        facts = [Fact(at=0.0, state=self.state)]
        facts += [
            Fact(at=at, answered=msgspec.json.decode(raw, type=CommandUpdate), unconfirmed=command_id in waiting)
            for command_id, (at, raw) in self._answers.items()
        ]
        facts += [Fact(at=0.0, accepted=command_id) for command_id in self.accepted]
        facts += [Fact(at=0.0, begun=begun) for begun in self.begun.values()]
        facts += [Fact(at=0.0, reported=e) for e in self.outbox.entries() if isinstance(e, StatusReport)]
        facts += [Fact(at=0.0, ended=(e,)) for e in self.outbox.entries() if isinstance(e, RemoteAccessReport)]
        facts += [Fact(at=0.0, session=session) for session in self.sessions.values()]
        return facts

    def _expire_answers(self, now: float) -> None:
        while len(self._answers) > KEEP_IDS:
            oldest = next(iter(self._answers))
            young = now - self._answers[oldest][0] < KEEP_IDS_S
            if young and len(self._answers) <= MOST_IDS:
                return
            del self._answers[oldest]
