"""Signing in, decided: when an account is locked, how long a session lives, which passwords are refused, and the
Changes that each outcome is made of. Takes values and `now`; knows no request, no database and no argon2.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from hub.model import actors, changes, credentials

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
