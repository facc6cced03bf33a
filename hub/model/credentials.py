"""Secrets as values: how a key, token, session or link is made, recognised and compared; and passwords, with those that
are refused.

A secret reads `rvmX_PUBLIC_SECRET`: kind and 8 public characters find the row (`prefix`), only the SHA-256 of the
whole is stored. Hashing or comparing a password takes about 0.1 s and 64 MiB: in a thread, few at once."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import secrets
import unicodedata
from typing import Final, Literal, NamedTuple

import argon2

from protocol import enrolment

Kind = Literal["key", "token", "session", "link"]

_MARKS: Final[dict[Kind, str]] = {"key": enrolment.KEY_MARK, "token": "rvmu", "session": "rvms", "link": "rvml"}
_KINDS: Final[dict[str, Kind]] = {mark: kind for kind, mark in _MARKS.items()}
_BASE32: Final = enrolment.KEY_PUBLIC_LETTERS
_BASE62: Final = enrolment.KEY_SECRET_LETTERS
_SHAPE: Final = re.compile(r"(rvm[kusl])_([A-Z2-7]{8})_([0-9A-Za-z]{32})\Z")
SLOW: Final = argon2.PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)


class Secret(NamedTuple):
    text: str
    prefix: str
    hash: str


class Presented(NamedTuple):
    """Has the shape of a secret of ours; may be invalid."""

    kind: Kind
    prefix: str
    hash: str


def random_text(count: int, letters: str) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def random_hex(count: int) -> str:
    """`count` digits, an even number; in one draw."""
    return secrets.token_hex(count // 2)


def new_secret(kind: Kind) -> Secret:
    prefix = f"{_MARKS[kind]}_{random_text(enrolment.KEY_PUBLIC, _BASE32)}"
    text = f"{prefix}_{random_text(enrolment.KEY_SECRET, _BASE62)}"
    return Secret(text, prefix, hash_of(text))


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def new_app_secret() -> str:
    """Of 160 bits, in Base32: what an app computes its codes from."""
    return random_text(32, _BASE32)


def new_recovery_codes(count: int) -> list[str]:
    """Of 78 bits each, so that a plain hash keeps them."""
    groups = ([random_text(4, enrolment.CODE_LETTERS) for _ in range(4)] for _ in range(count))
    return ["-".join(code) for code in groups]


def new_code() -> Secret:
    """A one-time code of a machine; `prefix`: what people may see of it later."""
    text = enrolment.written_code(random_text(enrolment.CODE_GROUPS * enrolment.CODE_GROUP, enrolment.CODE_LETTERS))
    return Secret(text, text[: len(enrolment.CODE_MARK) + 3] + "…", hash_of(text))


def recognise(text: str) -> Presented | None:
    """None for anything but exactly one of our secrets."""
    shape = _SHAPE.match(text)
    if shape is None:
        return None
    mark, public, _ = shape.groups()
    return Presented(_KINDS[mark], f"{mark}_{public}", hash_of(text))


def same_hash(presented: str, stored: str | None) -> bool:
    """Constant-time; False when nothing is stored."""
    return stored is not None and hmac.compare_digest(presented, stored)


def hash_password(password: str, hasher: argon2.PasswordHasher = SLOW) -> str:
    """Slow: in a thread. Of the composed form, however it was typed."""
    return hasher.hash(unicodedata.normalize("NFC", password))


def password_matches(password: str, stored: str | None, hasher: argon2.PasswordHasher = SLOW) -> bool:
    """Slow: in a thread. As slow without a password (`stored` None). Older hashes were made of what was typed: that
    and the decomposed form are tried, too."""
    forms = dict.fromkeys((unicodedata.normalize("NFC", password), password, unicodedata.normalize("NFD", password)))
    return any(_verified(form, stored, hasher) for form in forms)


def _verified(password: str, stored: str | None, hasher: argon2.PasswordHasher) -> bool:
    try:
        return hasher.verify(stored if stored is not None else _nobody(hasher), password) and stored is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.lru_cache(maxsize=2)
def _nobody(hasher: argon2.PasswordHasher) -> str:
    """A hash that no password opens, at the same cost."""
    return hasher.hash(random_text(32, _BASE62))


MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 200
EXAMPLE_PASSWORD: Final = "a long phrase only you know"  # noqa: S105 - shown to everybody, and refused
_KNOWN: Final = frozenset({
    "0123456789", "1234567890", "12345678910", "123456789a", "1q2w3e4r5t", "1qaz2wsx3edc", "admin12345",
    "admin123456", "adminadmin", "administrator", "changeme123", "changemenow", "iloveyou123", "indonesia123",
    "jetsonorin", "letmein123", "myrvm12345", "passw0rd123", "password01", "password1!", "password12",
    "password123", "password1234", "passwordpassword", "qwerty12345", "qwerty123456", "qwertyuiop", "q1w2e3r4t5",
    "rahasia123", "reversevending", "sayang12345", "secret12345", "welcome123", "welcome1234", "zaq12wsxcde",
    "correcthorsebatterystaple", EXAMPLE_PASSWORD.replace(" ", ""),
})  # fmt: skip
"""Guessed first, without spaces; and our examples' passwords."""
_STEMS: Final = frozenset({
    "abc", "admin", "administrator", "asdfgh", "bismillah", "changeme", "dashboard", "hello", "iloveyou", "indonesia",
    "jakarta", "jetson", "katasandi", "letmein", "login", "master", "merdeka", "monkey", "myrvm", "operator", "passw",
    "password", "pass", "qwerty", "qwertyuiop", "rahasia", "reversevending", "root", "rvm", "sandi", "sayang", "secret",
    "superman", "teknisi", "technician", "test", "user", "welcome",
})  # fmt: skip
"""Nothing but digits and marks around it: `password123456`, `Rahasia2026!`."""
_LEET: Final = str.maketrans("013457@$!", "oleastasi")


def password_fault(password: str, email: str = "") -> str | None:
    """`short`, `long`, `common`, `email`, `plain` (one or two characters repeated); None: accepted."""
    password = unicodedata.normalize("NFC", password)
    if len(password) < MIN_PASSWORD:
        return "short"
    if len(password) > MAX_PASSWORD:
        return "long"
    low = password.casefold()
    if _is_known(low) or low in (low[0] * len(low), _run(low[0], len(low))):
        return "common"
    if len(set(low)) <= 2:
        return "plain"
    if email and low in (email, email.partition("@")[0], email.replace("@", "")):
        return "email"
    return None


def _is_known(low: str) -> bool:
    stem = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low)
    bare = {re.sub(r"[\W\d_]+", "", text) for text in (stem, stem.translate(_LEET))}
    return low in _KNOWN or re.sub(r"[\W_]+", "", low) in _KNOWN or not bare.isdisjoint(_STEMS)


def _run(first: str, length: int) -> str:
    return "".join(chr(ord(first) + i) for i in range(length)) if ord(first) + length < 0x110000 else ""
