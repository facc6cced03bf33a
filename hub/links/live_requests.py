"""Tells machines how often to send live samples, as watching pages come and go. Decides nothing itself."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from hub.links.links import Links
from hub.model.fleet import Fleet
from hub.model.watching import Watching

TICK_S: Final = 1.0
"""A lease that ran out is noticed within this."""


def ask_for_live_samples(watching: Watching, fleet: Fleet, links: Links) -> None:
    """Ask every machine whose wanted interval changed; one that is not connected is told in its next welcome."""
    for rvm_id, interval in watching.settle(time.monotonic(), fleet.machines).items():
        links.ask_live(rvm_id, interval)


async def end_stale_watches(watching: Watching, fleet: Fleet, links: Links) -> None:
    """End leases that were not renewed, until cancelled."""
    while True:
        await asyncio.sleep(TICK_S)
        ask_for_live_samples(watching, fleet, links)
