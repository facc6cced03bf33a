"""A machine as its control page shows it, and the page served on a real socket."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from device.control_page.page import ShownSession, Snapshot
from device.control_page.server import ControlPage, PageRules
from device.kernel.log import Log
from device.texts import texts_in
from protocol.messages import Sample


def snapshot(**other: object) -> Snapshot:
    values: dict[str, object] = {
        "device_id": "rvm-7",
        "version": "0.3.0",
        "hub": "https://hub.example",
        "is_linked": True,
        "hardware": {"model": "Jetson Orin Nano", "hostname": "rvm-7", "kernel": "5.15", "cores": 6},
        "status": "maintenance",
        "capacity": 40,
        "sample": Sample(
            timestamp="2026-11-23T20:00:00Z", cpu_usage=12.4, temperature=51.0, uptime_s=7260.0,
            reasons={"gpu_usage": "no GPU found"},
        ),
        "visits": (ShownSession(7, "Siti", "192.168.1.9", "camera is dark", 900.0),),
        "services": (("camera.service", "active"), ("5000", "on_demand")),
        "log": ("2026-11-23T20:00:00Z started", "2026-11-23T20:00:01Z connected to the hub"),
    }  # fmt: skip
    return Snapshot(**{**values, **other})  # type: ignore[arg-type]


class ServedPage(ControlPage):
    """The page of `shown`, on a port of the kernel's choice."""

    def __init__(self, folder: Path, bind: str = "127.0.0.1", networks: Sequence[str] = (), port: int = 0) -> None:
        self.shown = snapshot()
        self.said = io.StringIO()
        rules = PageRules(bind, port, lambda: networks, folder, "boot")
        super().__init__(rules, self._now, Log(texts_in("en"), "", {}, self.said))

    async def _now(self) -> Snapshot:
        return self.shown

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sockets[0][1]}"
