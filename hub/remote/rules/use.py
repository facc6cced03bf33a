"""Whether a lease may be used for something, now. Looked at for every page and file again: a lease that ended a moment
ago opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hub.model.remote_changes import RemoteSession


def held(
    sessions: Mapping[int, RemoteSession], holder: int, session_id: int | None, now: datetime
) -> RemoteSession | None:
    """The holder's own active lease: the one named, or the newest."""
    own = [
        session
        for session in sessions.values()
        if session.admin_id == holder and is_active(session, now) and session_id in (None, session.id)
    ]
    return max(own, key=lambda session: session.id, default=None)


def is_active(session: RemoteSession, now: datetime) -> bool:
    return session.status == "active" and now < session.expires_at


def opens_port(session: RemoteSession | None, holder: int, port: int, now: datetime) -> bool:
    """Whether that lease, still of that person, lets anybody reach that port."""
    if session is None or session.admin_id != holder or not is_active(session, now):
        return False
    return "ports" in session.allow and port in session.ports
