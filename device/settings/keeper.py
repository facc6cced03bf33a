"""Checks the hub's settings, caches them in the state folder, applies and answers them. An offline machine starts
with the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from device.kernel import state_file
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from device.settings.rules import EffectiveValues, HubSettings, effective_values, set_here
from device.settings.table import STATIC
from device.settings.values import readable
from device.texts import texts_in
from protocol.configuration import WrongValueError
from protocol.limits import MAX_NAME
from protocol.messages import ConfigApplied

FILE: Final = "configuration"
MAX_ERRORS: Final = 30
"""So that the answer fits into one frame."""
MAX_SENTENCE: Final = 250
_on_the_wire: Final = texts_in("en")


class SettingsKeeper:
    """`apply(settings)`: in the loop, when the effective ones change; must not wait. `reply` sends the answer."""

    def __init__(
        self,
        settings: AgentSettings,
        disk: WorkerThread,
        log: Log,
        apply: Callable[[AgentSettings], None],
        reply: Callable[[ConfigApplied], None],
    ) -> None:
        self._own = settings
        self._set_here = set_here(settings.values, settings.origins)
        self._file = settings.state_dir / FILE
        self._disk = disk
        self._log = log
        self._apply = apply
        self._reply = reply
        self._from_hub = HubSettings()
        self._on_disk: HubSettings | None = None
        self._offered: HubSettings | None = None
        self._news = asyncio.Event()
        self.settings = settings

    @property
    def version(self) -> int:
        return self._from_hub.version

    async def open(self) -> None:
        """Apply the settings cached by an earlier life; a damaged cache counts as none."""
        cached = await self._disk.call(cached_configuration, self._own.state_dir)
        if cached is not None:
            self._on_disk = cached
            self._take(cached)

    def use_key(self, key: str) -> None:
        self._own, self.settings = replace(self._own, api_token=key), replace(self.settings, api_token=key)

    def offer(self, version: int, values: Mapping[str, Any]) -> None:
        """Apply these settings next; never waits. Newer ones replace those not applied yet."""
        self._offered = HubSettings(version=version, values=dict(values))
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            offered, self._offered = self._offered, None
            if offered is None:
                continue
            effective = self._take(offered)
            await self._remember(offered)
            errors = {
                key[:MAX_NAME] or "?": _sentence(key, wrong)
                for key, wrong in list(effective.errors.items())[:MAX_ERRORS]
            }
            self._reply(ConfigApplied(version=offered.version, errors=errors or None, own=self._set_here or None))

    def _take(self, from_hub: HubSettings) -> EffectiveValues:
        effective = effective_values(from_hub, self._own.values, self._own.origins, STATIC)
        is_news = from_hub != self._from_hub
        self._from_hub = from_hub
        if is_news:
            self.settings = self._own.overlaid(effective.values, effective.origins)
            self._log("config_applied", version=from_hub.version)
            for key, wrong in effective.errors.items():
                self._log("config_key_refused", why=self._log.why(wrong.code, key=key, **readable(wrong)))
            self._apply(self.settings)
        return effective

    async def _remember(self, from_hub: HubSettings) -> None:
        """Cache them on disk. A disk that refuses costs the cache, not the settings."""
        if from_hub == self._on_disk:
            return
        try:
            await self._disk.call(state_file.write_value, self._file, from_hub)
            self._on_disk = from_hub
        except OSError as error:
            self._log("config_not_cached", why=error.strerror or error)


def cached_configuration(state_dir: Path) -> HubSettings | None:
    return state_file.read_value(state_dir / FILE, HubSettings)


def effective_settings(own: AgentSettings) -> AgentSettings:
    """With the hub's cached ones, for programs beside the agent."""
    effective = effective_values(cached_configuration(own.state_dir) or HubSettings(), own.values, own.origins, STATIC)
    return own.overlaid(effective.values, effective.origins)


def _sentence(key: str, wrong: WrongValueError) -> str:
    return f"{wrong.code}: {_on_the_wire(wrong.code, key=key[:MAX_NAME], **readable(wrong))}"[:MAX_SENTENCE]
