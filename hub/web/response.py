"""The envelope of every success, and the headers that belong to every answer of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Answers are personal, and are what their type says."""

_encode = msgspec.json.Encoder().encode


def success(data: Any, status: int = 200, *, message: str | None = None) -> Response:
    """`{"success": true, "data": ..., "message"?}`; 204 has no body at all."""
    if status == 204:
        return Response(status_code=204)
    envelope: dict[str, Any] = {"success": True, "data": data}
    if message is not None:
        envelope["message"] = message
    return Response(_encode(envelope), status, media_type="application/json")


def seal(response: Response, extra: Mapping[str, str] | None = None) -> Response:
    """Put on the headers every answer has, without overwriting the answer's own."""
    for name, value in {**HEADERS, **(extra or {})}.items():
        response.headers.setdefault(name, value)
    return response


def without_body(response: Response) -> Response:
    """For HEAD: every header of the answer, and nothing after them."""
    response.body = b""
    return response
