"""That a change asked for with a cookie was asked for by one of our own pages.

Two proofs, both needed: the browser's Origin header is ours, and a token that only a page of this session can know. The
token is derived from the session's secret, so it needs no storage and changes at every sign-in.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.client_address import same_origin

HEADER: Final = "x-csrf-token"
FIELD: Final = "csrf_token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def token_for(session_text: str) -> str:
    """The token pages of this session send along (header X-CSRF-Token or form field `csrf_token`)."""
    return hmac.new(session_text.encode(), b"myrvm csrf 1", hashlib.sha256).hexdigest()


def holds(connection: HTTPConnection, session_text: str, settings: Settings, field: str | None = None) -> bool:
    """Whether this change may be made with the cookie `session_text`; `field` is the form's token, if it was a form."""
    presented = connection.headers.get(HEADER) or field or ""
    right = hmac.compare_digest(presented.encode(), token_for(session_text).encode())
    return right and same_origin(connection, settings)
