"""A simulated machine's key, renewed over its link as a real agent does it: the old one stays valid until the new one
has opened a link."""

from __future__ import annotations

from collections.abc import Callable

from demo.simulated_jobs import Ended, Work
from device.enrolment.key_renewal import prefix_of
from device.enrolment.service import new_key
from protocol import commands
from protocol import messages as m
from protocol.enrolment import key_hash

LOOK_S = 0.5


class SimulatedKey:
    """`command()`: the id of the job that runs. `keep(key)`: for the next start, once the hub has confirmed it."""

    def __init__(self, key: str, command: Callable[[], str], keep: Callable[[str], None]) -> None:
        self._current = key
        self._offered = ""
        self._command = command
        self._keep = keep
        self._is_adopted = False
        self._linked_with = ""
        self._asked_by = ""
        self._fault: str | None = None
        self.reports: list[m.MachineMessage] = []
        self.wants_link = False
        """The hub has committed the new key: connect with it."""

    @property
    def in_use(self) -> str:
        return self._offered if self._is_adopted else self._current

    def linked(self) -> list[m.MachineMessage]:
        """A link is live: what to report on it."""
        self.wants_link, self._linked_with = False, self.in_use
        return self._offer()

    def refused(self) -> None:
        """The hub refuses the key in use: the other one has its turn."""
        self._is_adopted = bool(self._offered) and not self._is_adopted

    def renew(self, wanted: commands.RenewKey, deadline: float) -> Work:
        del wanted
        self._fault, self._asked_by = None, self._command()
        self._offered = self._offered or new_key()
        offered = self._offered
        self.reports += self._offer()
        now = 0.0
        while self._offered:
            if now >= deadline - 1:
                return m.Failure(code="deadline", message="it had not ended at its deadline")
            now = yield m.Progress(phase="offering"), LOOK_S
        return self._end(offered)

    def _end(self, offered: str) -> Ended:
        if self._fault is not None:
            return m.Failure(code="key_refused", message=self._fault)
        return {"key_prefix": prefix_of(offered)}

    def answered(self, ref: int | str | None, fault: str | None = None) -> None:
        """The hub committed what has this reference, or why not."""
        if not self._offered or ref != prefix_of(self._offered):
            return
        if fault is not None:
            self.wants_link = self._is_adopted
            self._fault, self._offered, self._is_adopted = fault, "", False
        elif self._linked_with == self._offered:
            self._current, self._offered, self._is_adopted = self._offered, "", False
            self._keep(self._current)
        else:
            self._is_adopted = self.wants_link = True

    def _offer(self) -> list[m.MachineMessage]:
        key = self._offered
        return [m.KeyOffer(command=self._asked_by, key_prefix=prefix_of(key), key_hash=key_hash(key))] if key else []
