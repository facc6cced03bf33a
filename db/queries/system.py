"""How large the database is."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from db.engine.store import Store

_SIZE: Final = {
    "sqlite": sa.select(sa.literal_column("page_count * page_size").label("size")).select_from(
        sa.text("pragma_page_count(), pragma_page_size()")
    ),
    "postgresql": sa.select(sa.func.pg_database_size(sa.func.current_database()).label("size")),
}


async def size_bytes(store: Store) -> int:
    row = await store.fetch_one(_SIZE[store.dialect])
    return 0 if row is None else int(row["size"])
