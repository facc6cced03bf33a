"""That a change asked for with a cookie was asked for by one of our own pages.

Two proofs, both needed: the browser's Origin header is ours, and a token that only a page of this session can know. The
token is derived from the session's secret, so it needs no storage and changes at every sign-in. Each page shows it
behind a mask of its own, so that compressing the page gives nothing away (BREACH).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.auth.client_address import origin_hint, same_origin
from hub.web.http.problems import Problem, Text

CSRF_HEADER: Final = "x-csrf-token"
_PROOF_BYTES: Final = hashlib.sha256().digest_size
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def new_csrf_token(session_text: str) -> str:
    """The token pages of this session send along (header X-CSRF-Token or form field `csrf_token`): mask, then masked
    proof, in hexadecimal; another text at every call."""
    mask = secrets.token_bytes(_PROOF_BYTES)
    return (mask + _xor(mask, _proof(session_text))).hex()


def is_proven(connection: HTTPConnection, session_text: str, settings: Settings, field: str | None = None) -> bool:
    """Whether this change may be made with the cookie `session_text`; `field` is the form's token, if it was a form."""
    presented = connection.headers.get(CSRF_HEADER) or field or ""
    return _proves(presented, session_text) and same_origin(connection, settings)


def csrf_refusal(connection: HTTPConnection, settings: Settings) -> Problem:
    """The 403 for a change that no page of ours asked for, or that a proxy makes look so."""
    return Problem("forbidden", origin_hint(connection, settings) or Text("csrf"))


def _proves(presented: str, session_text: str) -> bool:
    try:
        token = bytes.fromhex(presented)
    except ValueError:
        return False
    mask, masked = token[:_PROOF_BYTES], token[_PROOF_BYTES:]
    return len(masked) == _PROOF_BYTES and hmac.compare_digest(_xor(mask, masked), _proof(session_text))


def _proof(session_text: str) -> bytes:
    return hmac.new(session_text.encode(), b"myrvm csrf 1", hashlib.sha256).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
