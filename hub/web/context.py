"""What everything in hub.web is given: the parts of one running hub, by name. Found at `app.state.hub`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from db.connection import Store
from hub.core.fleet import Fleet
from hub.core.watching import Watching
from hub.flow.announce import Announcer
from hub.flow.feed import Feed
from hub.flow.leases import Leases
from hub.flow.links import Links
from hub.flow.recordings import Recordings
from hub.flow.terminals import Terminals
from hub.flow.tunnels import Tunnels
from hub.settings import Settings
from hub.web.exports import Exports
from hub.web.fleet_digest import FleetDigest
from hub.web.fresh_secrets import FreshSecrets
from hub.web.gate import Gate
from hub.web.machine_pages.open_pages import OpenPages
from hub.web.read_budget import ReadBudget


@dataclass(slots=True)
class HubContext:
    """One hub. `clock` gives aware UTC; `epoch` names this hub life (a new one after every start)."""

    settings: Settings
    store: Store
    fleet: Fleet
    announce: Announcer
    """Call it: `await context.announce(*changes)`; see hub.flow.announce."""
    links: Links
    tunnels: Tunnels
    leases: Leases
    recordings: Recordings
    terminals: Terminals
    feed: Feed
    watching: Watching
    clock: Callable[[], datetime]
    epoch: str
    version: str
    digest: FleetDigest
    gate: Gate = field(default_factory=Gate)
    """What the door remembers between requests (hub.web.auth)."""
    fresh: FreshSecrets = field(default_factory=FreshSecrets)
    """Secrets that their pages may still show."""
    reads: ReadBudget = field(default_factory=ReadBudget)
    exports: Exports = field(default_factory=Exports)
    histories: Exports = field(default_factory=lambda: Exports("history"))
    """Long stretches of metrics that are being read."""
    playing: Exports = field(default_factory=lambda: Exports("playing"))
    """Recordings that are on their way to somebody."""
    pages: OpenPages = field(default_factory=OpenPages)
    """Machines' own pages that are open (hub.web.machine_pages)."""
