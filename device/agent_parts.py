"""The parts of an agent that settings make; locks the state folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certs.bundle import AuthorityFileError
from device.api_client import ApiClient
from device.control_page.service import ControlPageService
from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import FallbackRules
from device.remote.access import RemoteAccessServer, RunningSession
from device.remote.folders import DeclaredFolders
from device.samples.rules import SamplingPlan
from device.samples.sampler import Sampler
from device.samples.spool import SampleSpool
from device.samples.uploader import Uploader
from device.settings import AgentSettings
from device.system import hardware
from device.system.privileged import PrivilegedBus
from device.system_monitor import SystemMonitor
from device.system_monitor.jtop import JtopAdapter
from protocol.configuration import page_names
from protocol.messages import Sample

if TYPE_CHECKING:
    from device.remote.session.work import SessionWork


class AlreadyRunningError(Exception): ...


def make_sampler(
    settings: AgentSettings,
    disk: WorkerThread,
    spool: SampleSpool,
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
    settings: AgentSettings,
    disk: WorkerThread,
    spool: SampleSpool,
    log: Log,
    rules: FallbackRules,
    is_live: Callable[[], bool],
    link_ended: asyncio.Event,
) -> Uploader:
    client = ApiClient.of(settings)
    return Uploader(client, spool, disk, rules, settings.number("upload_interval"), log, is_live, link_ended)


def make_remote_access(
    settings: AgentSettings,
    keeper: StateKeeper,
    boot: str,
    log: Log,
    settings_now: Callable[[], AgentSettings],
    page: ControlPageService,
    folders: DeclaredFolders,
) -> RemoteAccessServer:
    """A session's work is loaded when the first one begins."""
    made: list[SessionWork] = []

    async def work(running: RunningSession, ticket: str) -> str:
        if not made:
            from device.remote.session.work import SessionWork

            made.append(SessionWork(settings_now, log, page, folders))
        return await made[0](running, ticket)

    return RemoteAccessServer(settings, keeper, boot, log, work)


async def end_leftovers(settings: AgentSettings, disk: WorkerThread, log: Log) -> None:
    from device.remote.leftovers import FILE, end_orphans
    from device.settings.values import on_demand

    if await disk.call((settings.state_dir / FILE).exists):
        services = on_demand(settings.values["remote_services"])
        for port in await disk.call(end_orphans, settings.state_dir, services):
            log("service_stopped", port=port)


async def look_at_rights(settings: AgentSettings, bus: PrivilegedBus, disk: WorkerThread, log: Log) -> dict[str, str]:
    """Facts for the hub: who does what needs root, and whose terminals are."""
    from device.remote.service_user import NoUserError
    from device.remote.trusted_paths import terminal_user

    way = await bus.way()
    if settings.switch("system_control"):
        log(f"way_{way}")
    try:
        return {"privileges": way, "terminal_user": (await disk.call(terminal_user, settings)).name}
    except NoUserError:
        return {"privileges": way}


async def look_at_paths(settings: AgentSettings, folders: DeclaredFolders, disk: WorkerThread, log: Log) -> None:
    """Pin the declared folders; log paths that others could change, where the agent has more rights than these."""
    from device.remote.trusted_paths import weak_paths

    await disk.call(folders.look)
    for weak in await disk.call(weak_paths, settings):
        log("weak_path", path=weak.path, step=weak.step, who=weak.who)


def remote_facts(settings: AgentSettings) -> dict[str, Any]:
    """What a session could reach, for people to choose from."""
    ports = [int(port) for port in settings.names("remote_access_ports")]
    control = int(settings.number("remote_access_port"))
    return {
        "ports": ports,
        "names": page_names(settings.values["remote_page_names"]),
        "control": control if control in ports else None,
        "terminal": True,
        "download": settings.names("remote_download_folders"),
        "upload": settings.names("remote_upload_folders"),
    }


def hub_tls_facts(settings: AgentSettings) -> dict[str, Any]:
    """How it reaches the hub: `plain` (unencrypted beyond this computer), `loopback`, `public` or `pinned`; and until
    when its own certificate counts, and the authority that it pins."""
    if not settings.base_url.startswith("https:"):
        return {"mode": "plain" if settings.is_plain else "loopback"}
    trust = settings.hub_trust
    facts: dict[str, Any] = {"mode": trust.mode, "client_certificate": bool(trust.certificate)}
    with contextlib.suppress(OSError, ValueError):
        ends = trust.certificate_ends_at()
        if ends is not None:
            facts["client_certificate_until"] = f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    with contextlib.suppress(AuthorityFileError, ValueError):
        pinned = trust.bundle()
        facts["authorities"] = [] if pinned is None else list(pinned.fingerprints)
        if pinned is not None:
            facts["authority_until"] = f"{pinned.ends_at:%Y-%m-%dT%H:%M:%SZ}"
    return facts


def open_spool(settings: AgentSettings) -> SampleSpool:
    root = Path(settings.text("sensor_root"))
    return SampleSpool(
        settings.state_dir / "spool",
        hardware.boot_id(root),
        floor_seq=hardware.boot_milliseconds(root),
        limit=int(settings.number("spool_limit_mib") * 1024 * 1024),
    )


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """The kernel unlocks it however this process ends. Raises AlreadyRunningError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise AlreadyRunningError(str(folder)) from held
        yield
    finally:
        os.close(handle)
