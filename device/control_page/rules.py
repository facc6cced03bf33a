"""Decides who may see the control page, by connection and Host header."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.addresses import is_loopback, is_within, parse_address


def is_admitted(peer: str, networks: Iterable[str]) -> bool:
    return is_loopback(peer) or is_within(peer, networks)


def host_is_ours(host: str, names: Iterable[str]) -> bool:
    """After DNS rebinding it does not name this machine."""
    name, bracket, rest = host.strip().lower().partition("]")
    if bracket:
        return name.startswith("[") and parse_address(name[1:]) is not None and _is_port(rest)
    name, colon, port = name.partition(":")
    if not _is_port(colon + port):
        return False
    ours = {"localhost", *(one.lower() for one in names), *(f"{one.lower()}.local" for one in names)}
    return name in ours or parse_address(name) is not None


def _is_port(text: str) -> bool:
    return not text or (text.startswith(":") and text[1:].isdecimal() and text.isascii() and len(text) <= 6)
