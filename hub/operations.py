"""Every operation of the API in one table, and the routes made from it."""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Route

from hub.audit import api as events
from hub.commands import api as commands
from hub.commands import machine_api
from hub.commands.bulk import api
from hub.machine_settings import api as config
from hub.machines import api as rvms
from hub.metrics import api as metrics
from hub.people import sign_in_api, tokens_api, users_api
from hub.remote import api as remote
from hub.remote import files_api, pages_api
from hub.remote.recordings import api as recordings
from hub.status import api as status
from hub.timezone import api as timezone
from hub.web.api import docs_page, health, openapi
from hub.web.api.endpoint import Endpoint, Nowhere
from hub.web.api.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *sign_in_api.OPERATIONS,
    *rvms.OPERATIONS,
    *status.OPERATIONS,
    *metrics.OPERATIONS,
    *commands.OPERATIONS,
    *api.OPERATIONS,
    *machine_api.OPERATIONS,  # before /config/{key}, or `applied` would be a key
    *config.OPERATIONS,
    *timezone.OPERATIONS,
    *recordings.OPERATIONS,
    *events.OPERATIONS,
    *remote.OPERATIONS,
    *pages_api.OPERATIONS,
    *files_api.OPERATIONS,
    *users_api.OPERATIONS,
    *tokens_api.OPERATIONS,
    *health.OPERATIONS,
)

EVERYTHING: Final = (*OPERATIONS, *openapi.operations(OPERATIONS), *docs_page.operations(OPERATIONS))
"""With the two that describe the others; made once, because they keep what they have built."""


def api_routes() -> list[BaseRoute]:
    """One route for each path under /api, and one for every path that leads nowhere."""
    paths = dict.fromkeys(operation.path for operation in EVERYTHING)
    found: list[BaseRoute] = [
        Route(f"/api{path}", Endpoint([o for o in EVERYTHING if o.path == path]), name=path) for path in paths
    ]
    return [*found, Route("/api", Nowhere()), Route("/api/{rest:path}", Nowhere())]
