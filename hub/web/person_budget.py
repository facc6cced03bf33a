"""How much of the audit log a person may fill, whatever the way: REST, forms, sockets, what their commands become.

Nobody may shorten that log, so whoever writes it is bounded. Each line that names a person is counted as it is
committed; a person in debt changes nothing more until it is paid, by 429 with Retry-After. What somebody signed in does
about their own account and tokens has a reserve: a program with a lent token must not keep its owner from revoking it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

import msgspec

from hub.core import actors
from hub.core.access import Principal
from hub.core.changes import Change, EventHappened
from hub.core.token_bucket import TokenBuckets

LINES_PER_S: Final = 5.0
LINES_AT_ONCE: Final = 3000.0
"""Three commands to 500 machines each, and what becomes of them."""
LINE_BYTES: Final = 1024
"""Of before, after and parameters; a longer line counts as several."""
OWN_PER_S: Final = 0.5
OWN_AT_ONCE: Final = 60.0
SIGN_INS_PER_S: Final = 0.5
SIGN_INS_AT_ONCE: Final = 60.0
MOST_REMEMBERED: Final = 10_000
OF_ONE_SELF: Final = frozenset({"account.edit", "account.sign_out", "token.manage_own"})
_NOT_THEIR_OWN: Final = frozenset({"sign_in.failed", "sign_in.locked"})
"""Strangers cause these in somebody's name."""


class PersonBudget:
    """What is left to each person, by id. The waits are in seconds, 0 for none."""

    def __init__(
        self,
        lines_per_s: float = LINES_PER_S,
        lines_at_once: float = LINES_AT_ONCE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._lines = TokenBuckets[int](lines_per_s, lines_at_once, MOST_REMEMBERED)
        self._own = TokenBuckets[int](OWN_PER_S, OWN_AT_ONCE, MOST_REMEMBERED)
        self._sign_ins = TokenBuckets[int](SIGN_INS_PER_S, SIGN_INS_AT_ONCE, MOST_REMEMBERED)

    def became_true(self, changes: Sequence[Change]) -> None:
        """A listener of the announcer: count the lines that name a person."""
        for change in changes:
            if isinstance(change, EventHappened) and change.code not in _NOT_THEIR_OWN:
                user_id = actors.user_of(change.actor)
                if user_id is not None:
                    self._lines.spend(user_id, self._clock(), _lines_of(change))

    def wait(self, principal: Principal, action: str) -> float:
        """Until this person may change something again."""
        if principal.kind != "user":
            return 0.0
        now = self._clock()
        wait = self._lines.wait(principal.id, now)
        if wait and principal.is_signed_in and action in OF_ONE_SELF:
            return self._own.take(principal.id, now)
        return wait

    def sign_in(self, user_id: int) -> float:
        """Until this person, who has proved who they are, may have another session; 0: this is one."""
        return self._sign_ins.take(user_id, self._clock())


def _lines_of(event: EventHappened) -> float:
    return max(1.0, len(msgspec.json.encode((event.params, event.before, event.after))) / LINE_BYTES)
