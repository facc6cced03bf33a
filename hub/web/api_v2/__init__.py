"""REST under /api/v2: one file per resource; OpenAPI is generated from the types that validate."""
