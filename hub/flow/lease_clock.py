"""When each open session's time is over, by the clock that nobody sets: seconds since some moment, never the time of
day. Told of every session that comes true; decides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

from hub.core.changes import Change
from hub.core.remote_changes import RemoteSession, SessionMoved, SessionOpened

BEGIN_S: Final = 10.0
"""Between a session's row and the command that begins it: two commits. Longer means that the second never came."""


class LeaseClock:
    def __init__(self, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        # Bound: the open sessions.
        self._ends: dict[int, tuple[datetime, float]] = {}
        # Bound: the open sessions.
        self._opened: dict[int, float] = {}

    def became_true(self, changes: Sequence[Change]) -> None:
        """A listener of the announcer."""
        for change in changes:
            if not isinstance(change, SessionOpened | SessionMoved):
                continue
            session = change.session
            if session.is_open:
                self._note(session)
            else:
                self._ends.pop(session.id, None)
                self._opened.pop(session.id, None)

    def forget_all_but(self, open_ids: AbstractSet[int]) -> None:
        """Sessions that went with their machine tell nobody of their end."""
        for known in (self._ends, self._opened):
            for session_id in known.keys() - open_ids:
                del known[session_id]

    def over(self, session: RemoteSession) -> bool:
        """Whether its time has passed."""
        return self._monotonic() >= self._note(session)

    def settled(self, session: RemoteSession) -> bool:
        """Whether the command that begins it should be there by now."""
        self._note(session)
        return session.command_id is not None or self._monotonic() - self._opened[session.id] > BEGIN_S

    def _note(self, session: RemoteSession) -> float:
        """The moment it ends; counted from now where that was not known or has moved."""
        known = self._ends.get(session.id)
        if known is None or known[0] != session.expires_at:
            left = (session.expires_at - self._clock()).total_seconds()
            known = self._ends[session.id] = (session.expires_at, self._monotonic() + left)
        self._opened.setdefault(session.id, self._monotonic())
        return known[1]
