"""IP addresses as values: one form for each, and which networks hold it; names that share a site; origins.

An IPv4-mapped IPv6 address (`::ffff:192.0.2.7`, an IPv4 peer of a socket for both families) is the IPv4 address, in
networks too."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED_BITS = 96


def parse_address(text: str) -> Address | None:
    """Without spaces around it; None: no address."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def normalise_address(text: str) -> str | None:
    """In its usual form; None: no address."""
    found = parse_address(text)
    return None if found is None else str(found)


def is_loopback(text: str) -> bool:
    """Of this computer to itself. A name is none."""
    found = parse_address(text)
    return found is not None and found.is_loopback


def names_this_computer(host: str) -> bool:
    """Whether a URL's host (`localhost`, an address without brackets) is the computer that opens it. Other names
    below localhost are the network's name server's, unless the system's resolver knows better."""
    return host == "localhost" or is_loopback(host)


def is_url_of_this_computer(url: str) -> bool:
    """Whether the computer that opens it is the one it leads to."""
    return names_this_computer(urlsplit(url).hostname or "")


def is_url_unencrypted(url: str) -> bool:
    """Whether a network carries in clear what is sent there: machines then need `allow_plain_http`."""
    return urlsplit(url).scheme == "http" and not is_url_of_this_computer(url)


def is_within(address: str, networks: Iterable[object]) -> bool:
    """`10.0.0.0/8`, or one address; what is no network holds nothing."""
    found = parse_address(address)
    return found is not None and any(_holds(str(network), found) for network in networks)


def _holds(text: str, address: Address) -> bool:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            network = ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return address in network


_HANDED_OUT = frozenset(
    ("ac", "ad", "biz", "co", "com", "desa", "edu", "go", "gob", "gouv", "gov", "gr", "ltd", "mil", "my", "ne", "net",
     "nom", "or", "org", "plc", "ponpes", "sch", "web")
)  # fmt: skip
"""Before a country's two letters where names are handed out one part further down: `co.id`, `com.au`."""


def one_site(one: str, other: str) -> bool:
    """Whether pages of both hosts may set cookies for each other. Errs to the safe side where a registry hands names
    out below an unusual part."""
    if is_network(one.strip("[]")) or is_network(other.strip("[]")):
        return False
    pairs = list(zip(reversed(_parts(one)), reversed(_parts(other)), strict=False))
    shared = next((number for number, (mine, its) in enumerate(pairs) if mine != its), len(pairs))
    top = [mine for mine, _ in pairs[:2]]
    below_country = len(top) == 2 and len(top[0]) == 2 and top[1] in _HANDED_OUT
    return shared >= (3 if below_country else 2)


def _parts(name: str) -> list[str]:
    return name.lower().rstrip(".").split(".")


def is_network(address: str) -> bool:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        return False
    return True


_ORIGIN = re.compile(r"https?://(?P<host>[^\s:/?#@\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)


def is_origin(url: str) -> bool:
    return _ORIGIN.fullmatch(url) is not None


def can_hold_names(url: str) -> bool:
    """Whether other names can stand below the origin's: it is a name, no address."""
    found = _ORIGIN.fullmatch(url)
    name = found["host"] if found else ""
    letters = all(part.replace("-", "").isalnum() for part in name.split("."))
    return name.isascii() and letters and not name.replace(".", "").isdigit()
