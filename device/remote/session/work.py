"""Runs while a session is open: the tunnel, its handlers, the control page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

from device.kernel.log import Log
from device.remote.access import RunningSession
from device.remote.folders import DeclaredFolders
from device.remote.service_user import NoUserError, ServiceUser
from device.remote.session.files import FileServer
from device.remote.session.ports import PortServer
from device.remote.session.services import OnDemandServices
from device.remote.session.streams import OpenSession, Serve, StreamDispatcher
from device.remote.session.terminal import TerminalServer
from device.remote.session.tunnel import TunnelAddress, TunnelClient
from device.remote.trusted_paths import terminal_user, visitor
from device.settings import AgentSettings
from device.settings.values import on_demand

MIB = 1024 * 1024


class SessionPage(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class SessionWork:
    """`settings()`: effective; `folders`: of its files."""

    def __init__(
        self, settings: Callable[[], AgentSettings], log: Log, page: SessionPage, folders: DeclaredFolders
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._page = page
        self._log = log
        own = settings()
        services = on_demand(own.values["remote_services"])
        self._services = OnDemandServices(services, own.state_dir, log, _terminal_user(own))
        self._visitor = partial(visitor, own)
        self._terminals = TerminalServer(own.names("terminal_command"), self._visitor, log)
        self._ports = frozenset(map(int, own.names("remote_access_ports")))

    async def __call__(self, running: RunningSession, ticket: str) -> str:
        session_id = running.session.id
        settings = self._settings()
        door = TunnelAddress(
            settings.tunnel_url, settings.api_token, ticket, settings.number("connection_timeout"),
            settings.hub_trust.context,
        )  # fmt: skip
        tunnel = TunnelClient(door, session_id, self._log)
        async with AsyncExitStack() as after:
            after.push_async_callback(self._services.release, session_id)
            await self._page.start()
            after.push_async_callback(self._page.stop)
            if running.session.site or not ticket:
                return await _for_ever()
            files = self._files(settings)
            after.callback(files.close)
            dispatcher = StreamDispatcher(
                lambda: opened(running), self._handlers(session_id, files), self._log, tunnel.wake
            )
            after.push_async_callback(dispatcher.end)
            return await tunnel.run(dispatcher)

    def _handlers(self, session_id: int, files: FileServer) -> Mapping[str, Serve]:
        async def ready(port: int) -> None:
            await self._services.ready(port, session_id)

        ports = PortServer(self._ports, self._log, ready)
        return {"terminal": self._terminals.serve, "port": ports.serve, "file": files.serve}

    def _files(self, settings: AgentSettings) -> FileServer:
        limit = int(settings.number("remote_file_limit_mib") * MIB)
        return FileServer(self._folders, limit, self._visitor, self._log)


def opened(running: RunningSession) -> OpenSession:
    session = running.session
    return OpenSession(
        id=session.id,
        admin=session.admin,
        admin_ip=session.admin_ip,
        ports=session.ports,
        allow=frozenset(session.allow),
        deadline=running.deadline,
    )


def _terminal_user(own: AgentSettings) -> ServiceUser | None:
    try:
        return terminal_user(own)
    except NoUserError:
        return None


async def _for_ever() -> str:
    await asyncio.Event().wait()
    return "stopped"
