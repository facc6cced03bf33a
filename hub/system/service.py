"""Measures the hub while it runs, and looks at its disk and its database."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from db.engine.store import Store
from db.errors import StoreError
from db.queries import samples
from hub.kernel.samples_lane import SamplesLane
from hub.links.links import Links
from hub.settings import LAST_BACKUP, Settings
from hub.system import rules
from hub.system.rules import LoadMark
from protocol.instants import parse

logger = logging.getLogger("myrvm.system")

EVERY_S: Final = 1.0
WINDOW: Final = 10
SIZE_WITHIN_S: Final = 2.0


class HubLoad:
    """Frames and samples a second, of the last WINDOW seconds."""

    def __init__(self, links: Links, lane: SamplesLane, clock: Callable[[], datetime]) -> None:
        self.started_at = clock()
        self._links = links
        self._lane = lane
        self._marks: deque[LoadMark] = deque(maxlen=WINDOW + 1)

    def note(self, at_s: float) -> None:
        self._marks.append(LoadMark(at_s, self._links.frames, self._lane.committed))

    def per_second(self) -> tuple[float, float]:
        return rules.per_second(self._marks)

    async def run(self) -> None:
        while True:
            self.note(time.monotonic())
            await anyio.sleep(EVERY_S)


class OwnBackup(NamedTuple):
    """The newest backup of the hub itself, as it was noted."""

    made_at: datetime
    file: str
    bytes: int


class OnDisk(NamedTuple):
    """Of the data folder. None: not known."""

    free_bytes: int | None
    total_bytes: int | None
    last_backup: OwnBackup | None


def look_at_disk(settings: Settings) -> OnDisk:
    """Blocks."""
    try:
        room = shutil.disk_usage(settings.data_dir)
    except OSError as error:
        logger.warning("the room in %s is not known: %s", settings.data_dir, error)
        return OnDisk(None, None, _noted(settings.data_dir))
    return OnDisk(room.free, room.total, _noted(settings.data_dir))


def _noted(folder: Path) -> OwnBackup | None:
    try:
        noted = json.loads((folder / LAST_BACKUP).read_text(encoding="utf-8"))
        return OwnBackup(parse(str(noted["made_at"])), str(noted["file"]), int(noted["bytes"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


async def size_of(store: Store) -> int | None:
    """Of the database; None while it does not answer."""
    with anyio.move_on_after(SIZE_WITHIN_S):
        try:
            return await samples.database_size(store)
        except StoreError:
            return None
    return None
