"""What a plain service does: one pooled SQLAlchemy transaction for each message, then the acknowledgement."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.websockets import WebSocket

from bench.bare_wire import Metrics, Receive, acknowledge

metadata = sa.MetaData()
samples = sa.Table(
    "naive_samples",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rvm_id", sa.Integer, index=True),
    sa.Column("timestamp", sa.DateTime(timezone=True), index=True),
    *(sa.Column(name, sa.Float) for name in ("cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature")),
)


class Naive(Receive):
    def __init__(self, store: str) -> None:
        super().__init__()
        self._engine: AsyncEngine = self._connect(store)

    @staticmethod
    def _connect(store: str) -> AsyncEngine:
        if "://" in store:
            return create_async_engine(store.replace("postgresql://", "postgresql+asyncpg://"), pool_size=20)
        return create_async_engine(f"sqlite+aiosqlite:///{store}", connect_args={"timeout": 30})

    async def start(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def stop(self) -> None:
        await self._engine.dispose()

    async def metrics(self, link: WebSocket, machine: int, message: Metrics) -> None:
        async with self._engine.begin() as connection:
            for sample in message.samples:
                plain = {name: getattr(sample, name) for name in sample.__struct_fields__}
                json.dumps(plain, default=str)  # such a service turns its model into plain values once more
                await connection.execute(sa.insert(samples).values(rvm_id=machine, **plain))
        await acknowledge(link, message.seq)
