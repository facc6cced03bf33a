"""Bytes of a request to a JSON value: bounded before they are read, strict."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request

from hub.web.http.problems import Problem, Text
from protocol.limits import MAX_NAME, MAX_NESTING

MAX_BODY_BYTES: Final = 64 * 1024
READ_TIMEOUT_S: Final = 10.0
"""Against a body that drips."""

_decoder = msgspec.json.Decoder()


async def read(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        with anyio.fail_after(READ_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large(limit)
    except TimeoutError as slow:
        raise Problem("malformed", Text("body_slow"), headers={"Connection": "close"}) from slow
    except ClientDisconnect as gone:
        raise Problem("malformed", Text("body_incomplete")) from gone
    return bytes(body)


def too_large(limit: int) -> Problem:
    # The rest of the body is not read, so the connection cannot carry another request.
    return Problem("too-large", Text("too_large", {"most": limit}), headers={"Connection": "close"})


def require_json(request: Request) -> None:
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    charset = parameters.partition("charset=")[2].strip().strip('"').lower()
    if (media != "application/json" and not media.endswith("+json")) or charset not in ("", "utf-8", "utf8"):
        raise Problem("unsupported-media-type", Text("json_wanted"), headers={"Accept": "application/json"})


def decode(body: bytes, *, wild_numbers: bool = False) -> Any:
    """400: no JSON. `wild_numbers`: NaN, Infinity, 1e400 become texts."""
    try:
        value = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as broken:
        value = _with_wild_numbers(body) if wild_numbers else None
        if value is None:
            raise Problem("malformed", Text("not_json")) from broken
    if not _shallow(value):
        raise Problem("malformed", Text("too_deep", {"most": MAX_NESTING}))
    return value


def _with_wild_numbers(body: bytes) -> Any:
    def finite(literal: str) -> float | str:
        number = float(literal)
        return number if math.isfinite(number) else literal[:MAX_NAME]

    def whole(literal: str) -> int | str:
        return int(literal) if len(literal) < 20 else literal[:MAX_NAME]

    try:
        value = json.loads(body.decode(), parse_constant=str, parse_float=finite, parse_int=whole)
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
    except (ValueError, RecursionError):
        return None
    return value


def _shallow(value: Any, depth: int = 0) -> bool:
    if depth > MAX_NESTING:
        return False
    if isinstance(value, dict):
        return all(_shallow(v, depth + 1) for v in value.values())
    if isinstance(value, list):
        return all(_shallow(v, depth + 1) for v in value)
    return True
