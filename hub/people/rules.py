"""Decides what happens to users, tokens, sessions and passwords: the Changes of each act, with its one event.

Takes values and `now`; hashes come in made. No event holds a hash, nor more of a password than that it changed. Knows
no request, no database and no argon2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from hub.model import actors, changes, credentials
from hub.model import changes as c
from hub.model.actors import Actor
from hub.model.credentials import Secret

_SILENT = frozenset({"password_hash", "disabled_at"})
"""Members of a user that an event names without their value."""


class KnownUser(Protocol):
    """What is known of the user before (db.users.UserWithMachines)."""

    @property
    def id(self) -> int: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def disabled_at(self) -> datetime | None: ...
    @property
    def machines(self) -> frozenset[int]: ...


def add_user(
    *, email: str, name: str, role: str, password_hash: str | None, language: str | None, now: datetime, by: Actor,
    machines: frozenset[int] | None = None,
) -> list[c.Change]:  # fmt: skip
    """UserAdded (first) and its event. Without a password they sign in by a one-time link."""
    added = c.UserAdded(
        email=email, name=name, role=role, password_hash=password_hash, language=language, at=now,
        machines=tuple(sorted(machines or ())),
    )  # fmt: skip
    after: dict[str, Any] = {"email": email, "name": name, "role": role}
    after |= {} if machines is None else {"machines": sorted(machines)}
    return [added, c.EventHappened(at=now, code="user.added", actor=by, params={"email": email}, after=after)]


def edit_user(
    user: KnownUser, values: Mapping[str, Any], machines: frozenset[int] | None, now: datetime, by: Actor
) -> list[c.Change]:
    """UserEdited and its event; [] when nothing would change. A new password, a new role and being disabled end every
    session and every token, so that nothing goes on with what was before."""
    new = {name: value for name, value in values.items() if value != getattr(user, name, None)}
    moved = machines is not None and machines != user.machines
    if not new and not moved:
        return []
    before, after = _before(user, new), _after(new)
    if moved and machines is not None:
        before["machines"], after["machines"] = sorted(user.machines), sorted(machines)
    own = tuple(sorted(machines)) if moved and machines is not None else None
    made: list[c.Change] = [c.UserEdited(user_id=user.id, values=new, at=now, machines=own)]
    if new.get("password_hash") or new.get("disabled_at") or "role" in new:
        made += [c.SessionEnded(user_id=user.id, hash=None, at=now), c.TokensRevoked(user_id=user.id, at=now)]
    params = {"user_id": user.id, "email": user.email}
    return [*made, c.EventHappened(at=now, code="user.edited", actor=by, params=params, before=before, after=after)]


def remove_user(user: KnownUser, now: datetime, by: Actor) -> list[c.Change]:
    """Tokens and sessions go with the user."""
    before = {"email": user.email, "name": user.name, "role": user.role}
    event = c.EventHappened(
        at=now, code="user.removed", actor=by, params={"user_id": user.id, "email": user.email}, before=before
    )
    return [c.UserRemoved(user_id=user.id, at=now), event]


def create_token(
    user_id: int, name: str, secret: Secret, expires_at: datetime | None, now: datetime, by: Actor
) -> list[c.Change]:
    """TokenCreated (first) and its event. Without `expires_at` it is valid until it is revoked."""
    created = c.TokenCreated(
        user_id=user_id, name=name, prefix=secret.prefix, hash=secret.hash, expires_at=expires_at, at=now
    )
    params = {"user_id": user_id, "name": name, "prefix": secret.prefix}
    return [created, c.EventHappened(at=now, code="token.created", actor=by, params=params, after=params)]


def revoke_token(token_id: int, user_id: int, name: str, prefix: str, now: datetime, by: Actor) -> list[c.Change]:
    params = {"user_id": user_id, "name": name, "prefix": prefix}
    event = c.EventHappened(at=now, code="token.revoked", actor=by, params=params, before=params)
    return [c.TokenRevoked(token_id=token_id, at=now), event]


def leaves_no_admin(user: KnownUser, other_admins: int, *, role: str | None = None, disabled: bool = False) -> bool:
    """Whether the change would leave the hub without an administrator who can sign in."""
    counts = user.role == "admin" and user.disabled_at is None
    stays = (role or user.role) == "admin" and not disabled
    return counts and not stays and other_admins == 0


def _before(user: KnownUser, new: Mapping[str, Any]) -> dict[str, Any]:
    before = {name: getattr(user, name, None) for name in new if name not in _SILENT}
    if "disabled_at" in new:
        before["disabled"] = user.disabled_at is not None
    return before


def _after(new: Mapping[str, Any]) -> dict[str, Any]:
    after = {name: value for name, value in new.items() if name not in _SILENT}
    if "disabled_at" in new:
        after["disabled"] = new["disabled_at"] is not None
    if "password_hash" in new:
        after["password"] = "changed"  # noqa: S105 - a word, not a password
    return after


MAX_FAILURES: Final = 5
LOCK_S: Final = 30 * 60.0
FORGET_S: Final = 30 * 60.0
"""Failures further apart than this do not add up."""
IDLE_S: Final = 12 * 3600.0
ABSOLUTE_S: Final = 7 * 86400.0
EXTEND_AFTER_S: Final = 300.0
"""A session in use is extended at most this often."""
LINK_S: Final = 15 * 60.0

MAX_EMAIL: Final = 200
"""In its normal form, which can be longer than what was typed."""
MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 200
EXAMPLE_PASSWORD: Final = "a long phrase only you know"  # noqa: S105 - shown to everybody, and refused
"""What the documentation of the API shows."""
_KNOWN: Final = frozenset({
    "0123456789", "1234567890", "12345678910", "123456789a", "1q2w3e4r5t", "1qaz2wsx3edc", "admin12345",
    "admin123456", "adminadmin", "administrator", "changeme123", "changemenow", "iloveyou123", "indonesia123",
    "jetsonorin", "letmein123", "myrvm12345", "passw0rd123", "password01", "password1!", "password12",
    "password123", "password1234", "passwordpassword", "qwerty12345", "qwerty123456", "qwertyuiop", "q1w2e3r4t5",
    "rahasia123", "reversevending", "sayang12345", "secret12345", "welcome123", "welcome1234", "zaq12wsxcde",
    "correcthorsebatterystaple", EXAMPLE_PASSWORD.replace(" ", ""),
})  # fmt: skip
"""Long enough, and still the first ones anybody tries; without spaces. Also every password that an example of ours
shows (a test collects them)."""


class Failures(NamedTuple):
    """The failed tries on record for an email address, whether or not somebody has it."""

    failures: int
    last_at: datetime
    locked_until: datetime | None


def normal_email(text: str) -> str:
    """The form under which addresses are stored, found and locked: two that look the same are the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())


def locked_for(record: Failures | None, now: datetime) -> float | None:
    """Seconds until the next try is allowed; None when it is allowed now."""
    if record is None or record.locked_until is None or record.locked_until <= now:
        return None
    return (record.locked_until - now).total_seconds()


def failed_sign_in(
    record: Failures | None, counted_as: str, now: datetime, *, address: str, email: str, user_id: int | None
) -> list[changes.Change]:
    """One more failure, and the lock when it is the fifth. An account that does not exist has no event: nobody may make
    the audit log grow without one."""
    fresh = record is None or record.locked_until is not None or (now - record.last_at).total_seconds() > FORGET_S
    count = 1 if fresh or record is None else record.failures + 1
    locked = now + timedelta(seconds=LOCK_S) if count >= MAX_FAILURES else None
    made: list[changes.Change] = [
        changes.SignInCounted(email=counted_as, failures=count, at=now, locked_until=locked),
    ]
    if user_id is not None:
        made.append(
            changes.EventHappened(
                at=now,
                code="sign_in.locked" if locked else "sign_in.failed",
                actor=actors.user(user_id),
                params={"email": email, "ip": address, "failures": count},
            )
        )
    return made


def succeeded_sign_in(
    user_id: int, counted_as: str, now: datetime, *, address: str, user_agent: str | None, by: str
) -> tuple[credentials.Secret, list[changes.Change]]:
    """A new session (never a presented one made valid), and the failures forgotten. `by`: password or link."""
    secret, opened = open_session(user_id, now, address=address, user_agent=user_agent)
    return secret, [
        opened,
        changes.SignInCounted(email=counted_as, failures=0, at=now, locked_until=None),
        changes.UserEdited(user_id=user_id, values={"last_sign_in_at": now}, at=now),
        changes.EventHappened(
            at=now, code="sign_in.succeeded", actor=actors.user(user_id), params={"ip": address, "by": by}
        ),
    ]


def open_session(
    user_id: int, now: datetime, *, address: str, user_agent: str | None
) -> tuple[credentials.Secret, changes.SessionOpened]:
    secret = credentials.new_session()
    return secret, changes.SessionOpened(
        user_id=user_id,
        hash=secret.hash,
        at=now,
        expires_at=now + timedelta(seconds=IDLE_S),
        ip=address or None,
        user_agent=user_agent[:300].replace("\x00", "") if user_agent else None,
    )


def extended_session(
    digest: str, opened_at: datetime, expires_at: datetime, now: datetime
) -> changes.SessionExtended | None:
    """The session's new end after it was used now; None while it is not worth a write."""
    end = min(now + timedelta(seconds=IDLE_S), opened_at + timedelta(seconds=ABSOLUTE_S))
    if (end - expires_at).total_seconds() < EXTEND_AFTER_S:
        return None
    return changes.SessionExtended(hash=digest, expires_at=end)


def signed_out(user_id: int, digest: str, now: datetime) -> list[changes.Change]:
    return [
        changes.SessionEnded(user_id=user_id, hash=digest, at=now),
        changes.EventHappened(at=now, code="sign_in.signed_out", actor=actors.user(user_id)),
    ]


def make_link(
    user_id: int, now: datetime, lifetime_s: float = LINK_S
) -> tuple[credentials.Secret, changes.SignInLinkMade]:
    """A single-use way in, for the first administrator and for somebody who lost the password."""
    secret = credentials.new_link()
    return secret, changes.SignInLinkMade(
        user_id=user_id, hash=secret.hash, expires_at=now + timedelta(seconds=lifetime_s)
    )


def password_fault(password: str, email: str = "") -> str | None:
    """Why this password is refused: `short`, `long`, `common`, `email`, `plain` (one or two characters repeated)."""
    password = unicodedata.normalize("NFC", password)
    if len(password) < MIN_PASSWORD:
        return "short"
    if len(password) > MAX_PASSWORD:
        return "long"
    low = password.casefold()
    if re.sub(r"[\W_]+", "", low) in _KNOWN or low in _KNOWN or low in (low[0] * len(low), _run(low[0], len(low))):
        return "common"
    if len(set(low)) <= 2:
        return "plain"
    if email and low in (email, email.partition("@")[0], email.replace("@", "")):
        return "email"
    return None


def _run(first: str, length: int) -> str:
    return "".join(chr(ord(first) + i) for i in range(length)) if ord(first) + length < 0x110000 else ""
