"""Members whose inside the wire does not know: bounded in depth, integers and text, never by recursion.

A peer's content is stored, encoded and shown by others, so it must be harmless before anyone else sees it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from protocol import limits, messages
from protocol.errors import RemoteProtocolError

_encode = msgspec.json.Encoder().encode
# Which members to look at, for each type of message; a member may be reached through another (welcome.config.values).
_MEMBERS: Final[dict[type, tuple[str, ...]]] = {
    messages.Hello: ("hardware",),
    messages.CommandUpdate: ("result",),
    messages.Event: ("params",),
    messages.ConfigApplied: ("own",),
    messages.Welcome: ("config.values",),
    messages.Command: ("args",),
    messages.Config: ("values",),
}
# A whole string, or one bracket; everything between is of no interest for depth.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def check(message: messages.Message) -> None:
    """Raises RemoteProtocolError (the link survives) for the first member that may not pass."""
    for path in _MEMBERS.get(type(message), ()):
        value: Any = message
        for name in path.split("."):
            value = getattr(value, name)
        why = fault_of(value)
        if why:
            raise RemoteProtocolError("invalid", why, field=path)


def fault_of(value: object) -> str | None:
    """None: it may pass."""
    level, depth = [value], 1
    while level:
        following: list[object] = []
        for each in level:
            if isinstance(each, (dict, list)):
                if depth > limits.MAX_NESTING:
                    return f"nested deeper than {limits.MAX_NESTING}"
                following += each
                if isinstance(each, dict):
                    following += each.values()
            elif isinstance(each, str) and "\x00" in each:
                return "a text may not contain NUL"
            elif isinstance(each, int) and abs(each) > limits.MAX_INTEGER:
                return "an integer may have 64 bits at most"
        level, depth = following, depth + 1
    return None


def fits(value: object, most: int) -> bool:
    """As JSON."""
    return len(_encode(value)) <= most


def deep_member(text: str) -> str:
    """The top-level member under which it first nests too deep; "": none.

    For texts a decoder gave up on: everything up to that depth is well-formed."""
    depth, member = 0, ""
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth > limits.MAX_NESTING + 1:
                return member
        elif mark in "]}":
            depth -= 1
        elif depth == 1:
            member = _readable(mark)
    return ""


def _readable(literal: str) -> str:
    return str(msgspec.json.decode(literal))[: limits.MAX_NAME]
