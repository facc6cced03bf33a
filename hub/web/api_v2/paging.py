"""Pages of a list, said in headers (X-Total-Count, Link), so that the envelope stays what it is."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.requests import Request


def headers(
    request: Request, *, total: int | None = None, relation: str = "next", **following: object
) -> dict[str, str]:
    """`following` are the query members of the next page (or, by `relation`, of the one before); all None when there is
    none."""
    said = {} if total is None else {"X-Total-Count": str(total)}
    changed = {name: str(value) for name, value in following.items() if value is not None}
    if changed:
        address = f"{quote(request.scope['path'])}?{urlencode({**request.query_params, **changed})}"
        said["Link"] = f'<{address}>; rel="{relation}"'
    return said
