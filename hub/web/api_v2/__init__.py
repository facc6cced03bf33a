"""The REST API, /api/v2: one file per resource. `routes()` gives the routes, `OPERATIONS` the operations."""

from hub.web.api_v2.table import OPERATIONS, routes

__all__ = ["OPERATIONS", "routes"]
