"""Decides about the second step of a sign-in: which codes of an app count, and the Changes of on, off and reset.

Codes by RFC 6238 as every authenticator app takes them: SHA-1, six digits, 30 seconds."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from db.records import UserRow
from db.sign_in_records import RecoveryCodeRow, TwoStepRow
from hub.model import credentials
from hub.model.actors import Actor
from hub.model.changes import Change, Drop, EventHappened, Patch, Put
from hub.people.rules import end_sessions

STEP_S: Final = 30
DIGITS: Final = 6
DRIFT: Final = 1
"""Steps that the app's clock may be behind or ahead."""
RECOVERY_CODES: Final = 10
ISSUER: Final = "MyRVM"
_SHA1: Final = SHA1()  # noqa: S303 - the standard, and what every app takes
_APART: Final = re.compile(r"[\s-]+")


class Proof(NamedTuple):
    """A second step that holds: the Changes that use it up, and what the event says of it."""

    changes: list[Change]
    params: dict[str, Any]


def plain_code(text: str) -> str:
    """As typed or pasted: spaces, hyphens and small letters mean nothing."""
    return _APART.sub("", text).upper()


def is_app_code(plain: str) -> bool:
    return len(plain) == DIGITS and plain.isascii() and plain.isdigit()


def step_at(now: datetime) -> int:
    return int(now.timestamp()) // STEP_S


def code_at(secret: str, step: int) -> str:
    return HOTP(_key(secret), DIGITS, _SHA1).generate(step).decode()


def matching_step(secret: str, plain: str, now: datetime, last_step: int) -> int | None:
    """Of the newest code that it is; None: of none, or of one not after `last_step`. In constant time."""
    here = step_at(now)
    found = None
    for step in range(here - DRIFT, here + DRIFT + 1):
        if credentials.same_hash(code_at(secret, step), plain) and step > last_step:
            found = step
    return found


def app_address(secret: str, account: str) -> str:
    """What an app reads from the QR code."""
    return TOTP(_key(secret), DIGITS, _SHA1, STEP_S).get_provisioning_uri(account, ISSUER)


def grouped(secret: str) -> str:
    """For typing: in fours."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _key(secret: str) -> bytes:
    return base64.b32decode(secret)


def turn_on(user: UserRow, sealed: str, step: int, hashes: Iterable[str], now: datetime, by: Actor) -> list[Change]:
    """Conflict "two_step": it is on already."""
    row = TwoStepRow(user_id=user.id, secret=sealed, since=now, last_step=step)
    return [
        Put(row, once=True, must="two_step"),
        *_codes(user.id, hashes),
        _event("sign_in.two_step_on", user, now, by),
    ]


def new_codes(user: UserRow, proof: Proof, hashes: Iterable[str], now: datetime, by: Actor) -> list[Change]:
    """Those before are worthless then."""
    gone = Drop(RecoveryCodeRow, where=_of_user(user.id))
    return [*proof.changes, gone, *_codes(user.id, hashes), _event("sign_in.recovery_codes_made", user, now, by)]


def turn_off(user: UserRow, proof: Proof, now: datetime, by: Actor) -> list[Change]:
    return [*proof.changes, *_off(user.id), _event("sign_in.two_step_off", user, now, by)]


def reset(user: UserRow, now: datetime, by: Actor) -> list[Change]:
    """By somebody else: whoever is signed in as them is signed out. Conflict "two_step": it is off already."""
    return [*_off(user.id), end_sessions(user.id), _event("sign_in.two_step_reset", user, now, by)]


def use_step(user_id: int, step: int) -> Proof:
    """Conflict "two_step": it was accepted meanwhile, or two steps are off."""
    once = Patch(TwoStepRow, user_id, {"last_step": step}, where=(("last_step", "<", step),), must="two_step")
    return Proof([once], {"second": "app"})


def use_recovery_code(user_id: int, digest: str, left: int) -> Proof:
    """Conflict "two_step": it was used meanwhile. `left`: of those that stay."""
    once = Drop(RecoveryCodeRow, digest, where=_of_user(user_id), must="two_step")
    return Proof([once], {"second": "recovery", "left": left})


def _codes(user_id: int, hashes: Iterable[str]) -> list[Change]:
    return [Put(RecoveryCodeRow(hash=digest, user_id=user_id)) for digest in hashes]


def _off(user_id: int) -> list[Change]:
    return [Drop(TwoStepRow, user_id, must="two_step"), Drop(RecoveryCodeRow, where=_of_user(user_id))]


def _of_user(user_id: int) -> tuple[tuple[str, str, int], ...]:
    return (("user_id", "=", user_id),)


def _event(code: str, user: UserRow, now: datetime, by: Actor) -> EventHappened:
    params = {"user_id": user.id, "email": user.email}
    return EventHappened(at=now, code=code, actor=by, params=params)
