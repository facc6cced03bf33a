"""Every operation of the API in one table, and the routes made from it."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Route

from hub.web.api_v2 import (
    auth,
    bulk,
    commands,
    config,
    docs_page,
    events,
    health,
    machine_words,
    metrics,
    openapi,
    recordings,
    remote,
    remote_files,
    remote_pages,
    rvms,
    status,
    timezone,
    tokens,
    users,
)
from hub.web.api_v2.endpoint import Endpoint, Nowhere
from hub.web.api_v2.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *auth.OPERATIONS,
    *rvms.OPERATIONS,
    *status.OPERATIONS,
    *metrics.OPERATIONS,
    *commands.OPERATIONS,
    *bulk.OPERATIONS,
    *machine_words.OPERATIONS,  # before /config/{key}, or `applied` would be a key
    *config.OPERATIONS,
    *timezone.OPERATIONS,
    *recordings.OPERATIONS,
    *events.OPERATIONS,
    *remote.OPERATIONS,
    *remote_pages.OPERATIONS,
    *remote_files.OPERATIONS,
    *users.OPERATIONS,
    *tokens.OPERATIONS,
    *health.OPERATIONS,
)

EVERYTHING: Final = (*OPERATIONS, *openapi.operations(OPERATIONS), *docs_page.operations(OPERATIONS))
"""With the two that describe the others; made once, because they keep what they have built."""


def routes() -> list[BaseRoute]:
    """One route for each path under /api, and one for every path that leads nowhere."""
    paths = dict.fromkeys(operation.path for operation in EVERYTHING)
    found: list[BaseRoute] = [
        Route(f"/api{path}", Endpoint([o for o in EVERYTHING if o.path == path]), name=path) for path in paths
    ]
    return [*found, Route("/api", Nowhere()), Route("/api/{rest:path}", Nowhere())]
