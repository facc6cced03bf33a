"""How many bytes a second go in and out, between two looks at /proc/net/dev."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from device.system_monitor.reading import Reading, absent, text_of

_NOT_A_WIRE: Final = re.compile(r"^(lo|docker|veth|br-|virbr|tun|tap|wg|l4tbr|dummy|ifb|bond|cni|flannel)")
"""Bridges and tunnels carry the same bytes a second time."""


class NetworkBytes(NamedTuple):
    """Bytes since boot on all real interfaces."""

    received: int
    sent: int


def read(root: Path) -> NetworkBytes | None:
    """The counters now; None when the kernel does not show them or there is no real interface."""
    found, received, sent = False, 0, 0
    for line in (text_of(root / "proc/net/dev") or "").splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) >= 9 and words[0].isdigit() and not _NOT_A_WIRE.match(name.strip()):
            found = True
            received += int(words[0])
            sent += int(words[8])
    return NetworkBytes(received, sent) if found else None


def rates(before: NetworkBytes | None, after: NetworkBytes | None, seconds: float) -> tuple[Reading, Reading]:
    """Bytes a second (received, sent) between two looks `seconds` apart."""
    if after is None:
        why = absent("no network interface found")
    elif before is None or seconds <= 0:
        why = absent("first look, a rate needs two")
    elif after.received < before.received or after.sent < before.sent:
        why = absent("the network counters began again")
    else:
        received = (after.received - before.received) / seconds
        return Reading(round(received, 1)), Reading(round((after.sent - before.sent) / seconds, 1))
    return why, why
