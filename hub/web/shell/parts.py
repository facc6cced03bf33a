"""Parts of pages, drawn once more for the page's script when the feed tells it that they are stale.

A part is a template that its page includes as well, so that both are drawn the same. It holds no CSRF token: the script
puts the page's own in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.responses import HTMLResponse, Response

from dashboard import pages
from hub.web.shell.fleet_digest import in_slices
from hub.web.shell.page import Show, Visit


class Part(NamedTuple):
    """`values`: what the template takes, for whoever visits."""

    template: str
    values: Callable[[Visit], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True)
class BareFrame:
    """The frame of a part, as far as forms need one."""

    csrf: str = ""


def drawn(parts: Mapping[str, Part]) -> Show:
    """Answers those that `of` names, all without it; 304 when they are what the script has."""

    async def show(visit: Visit) -> Response:
        asked = dict.fromkeys(visit.request.query_params.get("of", "").split() or parts)
        pieces: list[str] = []
        for name in asked:
            if name in parts:
                values = await parts[name].values(visit)
                written = pages.pieces(parts[name].template, visit.reader, frame=BareFrame(), **values)
                pieces += [piece async for piece in in_slices(written)]
        body = "".join(pieces).encode()
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'}
        if visit.request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(body, headers=headers)

    return show
