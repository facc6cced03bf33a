"""The parts of an agent that are made of settings, and the state folder held by one agent alone."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from device import hardware
from device.api_client import ApiClient
from device.core.fallback_rules import FallbackRules
from device.core.sampling_plan import SamplingPlan
from device.log import Log
from device.sampler import Sampler
from device.settings import Settings
from device.spool import Spool
from device.system_monitor import SystemMonitor
from device.system_monitor.jtop import JtopAdapter
from device.uploader import Uploader
from device.worker_thread import WorkerThread
from protocol.messages import Sample


class AlreadyRunningError(Exception):
    """Another agent uses this state folder."""


def make_sampler(
    settings: Settings,
    disk: WorkerThread,
    spool: Spool,
    log: Log,
    on_kept: Callable[[], None],
    offer_live: Callable[[Sample], None],
) -> Sampler:
    root, disk_path = Path(settings.text("sensor_root")), Path(settings.text("disk_path"))
    jtop = JtopAdapter(time.monotonic) if settings.switch("jtop_enabled") else None
    monitors = (
        SystemMonitor(root, disk_path=disk_path, jtop=jtop),
        SystemMonitor(root, disk_path=disk_path, jtop=jtop),
    )
    interval = settings.number("metrics_interval")
    plan = SamplingPlan(interval, time.monotonic())
    sampler = Sampler(plan, monitors, WorkerThread("sensors"), disk, spool, log, on_kept, offer_live)
    sampler.set_monitoring(settings.switch("monitoring_enabled"), interval)
    return sampler


def make_uploader(
    settings: Settings,
    disk: WorkerThread,
    spool: Spool,
    log: Log,
    rules: FallbackRules,
    is_live: Callable[[], bool],
    link_ended: asyncio.Event,
) -> Uploader:
    client = ApiClient(
        settings.base_url,
        settings.api_token,
        settings.device_id,
        timeout=settings.number("connection_timeout"),
        attempts=int(settings.number("retry_attempts")),
        retry_delay=settings.number("retry_delay"),
    )
    return Uploader(client, spool, disk, rules, settings.number("upload_interval"), log, is_live, link_ended)


def open_spool(settings: Settings) -> Spool:
    root = Path(settings.text("sensor_root"))
    return Spool(
        settings.state_dir / "spool",
        hardware.boot_id(root),
        floor_seq=hardware.boot_milliseconds(root),
        limit=int(settings.number("spool_limit_mib") * 1024 * 1024),
    )


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Hold the state folder; the kernel lets go of it however this process ends. Raises AlreadyRunningError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise AlreadyRunningError(str(folder)) from held
        yield
    finally:
        os.close(handle)
