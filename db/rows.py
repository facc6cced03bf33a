"""The one row that comes in thousands."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

METRICS = (
    "cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature",
    "network_rx_bytes_s", "network_tx_bytes_s", "uptime_s", "power_w",
)  # fmt: skip
"""Numeric readings, in column order."""


class SampleRow(NamedTuple):
    """In column order. Instants are aware; `boot`: machine_boots.id, or 0 with seq 0."""

    rvm_id: int
    timestamp: datetime
    boot: int
    seq: int
    cpu_usage: float | None
    memory_usage: float | None
    disk_usage: float | None
    gpu_usage: float | None
    temperature: float | None
    network_rx_bytes_s: float | None
    network_tx_bytes_s: float | None
    uptime_s: float | None
    power_w: float | None
    throttled: bool | None
    clamped: bool
    created_at: datetime
