"""What the control page shows of the machine at one moment; values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol.messages import Sample


@dataclass(frozen=True)
class Visit:
    """An open remote access session."""

    id: int
    admin: str
    address: str
    reason: str
    left_s: float


@dataclass(frozen=True)
class Snapshot:
    """`services` by name and state (a code of the page's texts or systemd's own word); `log` oldest line first."""

    device_id: str
    version: str
    hub: str
    is_linked: bool
    hardware: Mapping[str, object]
    status: str
    capacity: int | None
    sample: Sample | None
    visits: Sequence[Visit] = ()
    services: Sequence[tuple[str, str]] = ()
    log: Sequence[str] = field(default=(), repr=False)
