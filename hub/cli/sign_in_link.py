"""One-time sign-in links as the command line makes them: for a new person, a lost password, the first start.

The secret stands in the fragment of the URL, which browsers never send: no server and no log sees it there.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from hub.cli.data_door import DataDoor, now
from hub.model import actors
from hub.model.changes import EventHappened
from hub.people.rules import sign_in


class SignInLink(NamedTuple):
    """Whose, until when, and the secret that is shown this once."""

    email: str
    secret: str
    expires_at: datetime

    def url(self, base: str) -> str:
        return f"{base.rstrip('/')}/signin#{self.secret}"


async def make_link(door: DataDoor, user_id: int, email: str) -> SignInLink:
    moment = now()
    secret, made = sign_in.make_link(user_id, moment)
    params = {"user_id": user_id, "email": email}
    await door.record(made, EventHappened(at=moment, code="sign_in.link_made", actor=actors.SYSTEM, params=params))
    return SignInLink(email, secret.text, made.expires_at)
