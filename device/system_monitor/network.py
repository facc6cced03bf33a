"""Bytes a second in and out, between two looks at /proc/net/dev. Bridges, bonds and tunnels carry the same bytes
again; /sys/class/net shows which they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from device.system_monitor.reading import SensorReading, absent, listed, number_of, text_of

_ETHERNET: Final = 1
_PPP: Final = 512
_LOOPBACK: Final = 772
_NO_WIRE: Final = frozenset({280, 801, 802, 803, 804, 805, _LOOPBACK})
"""linux/if_arp.h: CAN, and wireless monitors."""


class NetworkBytes(NamedTuple):
    received: int
    sent: int


Counters = Mapping[str, NetworkBytes]


def read(root: Path) -> Counters | None:
    """Of the interfaces that count; None: the kernel shows none.

    Hardware counts, unless it is part of another (a switch's port). Where none is, or none has a carrier, what
    leaves otherwise counts: a container's interface, and PPP over a modem. Without /sys one lone interface besides
    the loopback counts."""
    found = {}
    for line in (text_of(root / "proc/net/dev") or "").splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) >= 9 and words[0].isdigit() and words[8].isdigit():
            found[name.strip()] = NetworkBytes(int(words[0]), int(words[8]))
    counted = _counted(root / "sys/class/net", list(found))
    return {name: found[name] for name in counted} or None


def rates(before: Counters | None, after: Counters | None, seconds: float) -> tuple[SensorReading, SensorReading]:
    """(received, sent) between looks `seconds` apart, of interfaces that counted at both."""
    if after is None:
        why = absent("no network interface found")
    elif before is None or seconds <= 0:
        why = absent("first look, a rate needs two")
    elif not (both := [(before[name], after[name]) for name in after if name in before]):
        why = absent("another network interface than at the last look")
    elif any(new.received < old.received or new.sent < old.sent for old, new in both):
        why = absent("the network counters began again")
    else:
        received = sum(new.received - old.received for old, new in both) / seconds
        return SensorReading(round(received, 1)), SensorReading(
            round(sum(new.sent - old.sent for old, new in both) / seconds, 1)
        )
    return why, why


def _counted(net: Path, names: list[str]) -> list[str]:
    known = [name for name in names if (net / name).is_dir()]
    if not known:
        lone = [name for name in names if name != "lo"]
        return lone if len(lone) == 1 else []
    hardware = [name for name in known if _is_hardware(net / name)]
    if any(number_of(net / name / "carrier") == 1 for name in hardware):
        return hardware
    return [name for name in known if _leaves(net / name)] or hardware


def _is_hardware(interface: Path) -> bool:
    on_another = listed(interface, "lower_*")
    return (interface / "device").exists() and not on_another and number_of(interface / "type") not in _NO_WIRE


def _leaves(interface: Path) -> bool:
    """A container's end of a pair, or PPP; no bridge's port."""
    kind = number_of(interface / "type")
    if (interface / "device").exists() or (interface / "brport").exists() or listed(interface, "lower_*"):
        return False
    elsewhere = number_of(interface / "iflink") not in (None, 0, number_of(interface / "ifindex"))
    return kind == _PPP or (kind == _ETHERNET and elsewhere)
