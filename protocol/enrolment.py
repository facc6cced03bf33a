"""What a machine and the hub agree on before the machine is one of the fleet: one-time codes, keys and their
fingerprint, and the request for enrolment.

The machine makes its key itself and sends only its hash: so nothing that opens a door travels, a repeated request is
the same enrolment, and the fingerprint on the hub's page is the one that the machine prints."""

from __future__ import annotations

import hashlib
import re
import string
from typing import Annotated, Final, Literal

import msgspec

from protocol.limits import MAX_NAME

CODE_MARK: Final = "RVM"
CODE_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""None that is taken for another when read aloud or copied by hand: no 0, 1, I, L, O, U."""
CODE_GROUPS: Final = 3
CODE_GROUP: Final = 4
"""12 of 30 letters: 58 bits."""
MAX_CODE: Final = 40
"""With the spaces and dashes that people add."""

KEY_MARK: Final = "rvmk"
KEY_PUBLIC: Final = 8
KEY_PUBLIC_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
KEY_SECRET: Final = 32
KEY_SECRET_LETTERS: Final = string.digits + string.ascii_letters

RETRY_S: Final = 5.0
"""How long a machine that waits for approval leaves between its questions."""

State = Literal["waiting", "approved", "rejected"]

_BETWEEN: Final = re.compile(r"[\s\-_.]+")
_SHAPE: Final = re.compile(rf"{CODE_MARK}([{CODE_LETTERS}]{{{CODE_GROUPS * CODE_GROUP}}})\Z")


def written_code(letters: str) -> str:
    """RVM-7K4Q-9D2M-3XHT, of the letters that were drawn."""
    groups = (letters[at : at + CODE_GROUP] for at in range(0, CODE_GROUPS * CODE_GROUP, CODE_GROUP))
    return "-".join((CODE_MARK, *groups))


def normal_code(typed: str) -> str | None:
    """As it was written, whatever the case, dashes and spaces; None: no code has this shape."""
    found = _SHAPE.match(_BETWEEN.sub("", typed).upper())
    return None if found is None else written_code(found[1])


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def fingerprint(hashed_key: str) -> str:
    """4F:1A:..., 8 bytes for people to compare; of the hash, so that it tells nothing of either."""
    digest = hashlib.sha256(f"myrvm enrolment {hashed_key}".encode()).hexdigest()[:16].upper()
    return ":".join(digest[at : at + 2] for at in range(0, 16, 2))


_UNSEEN: Final = r"^[^\x00-\x1f\x7f]*$(?!\n)"
Fact = Annotated[str, msgspec.Meta(max_length=MAX_NAME, pattern=_UNSEEN)]
"""Of the board or its software, in one line."""
KeyPrefix = Annotated[str, msgspec.Meta(pattern=rf"^{KEY_MARK}_[A-Z2-7]{{{KEY_PUBLIC}}}$(?!\n)", max_length=20)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", max_length=64)]


class EnrolmentRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`key_prefix`, `key_hash`: of the key that the machine has made for itself; the same again asks how the
    enrolment stands. `machine_id`: a hash of the system's."""

    code: Annotated[str, msgspec.Meta(max_length=MAX_CODE)] = ""
    key_prefix: KeyPrefix
    key_hash: Sha256
    hostname: Fact | None = None
    model: Fact | None = None
    board_serial: Fact | None = None
    machine_id: Sha256 | None = None
    agent_version: Fact | None = None
    architecture: Fact | None = None
    os: Fact | None = None
    l4t: Fact | None = None
