"""What the machine's own file may say about remote access: ports, folders, commands, services that run on demand.

Types and their bounds only; `setting_values` turns what does not fit into a sentence.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from protocol.addresses import normalise_address
from protocol.limits import MAX_FILE_PATH

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*\Z")]
Folder = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FILE_PATH, pattern=r"^/[^\x00]*\Z")]
Words = Annotated[list[Word], msgspec.Meta(min_length=1, max_length=64)]


class OnDemand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a service is started for a lease: `start` may be the service itself, or a command that starts it and ends.
    Without `stop` the process that `start` began is ended."""

    start: Words
    stop: Words | None = None
    ready_timeout: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 20.0


class _Services(msgspec.Struct):
    services: dict[str, OnDemand]


_KINDS: Final[dict[str, Any]] = {
    "ports": Annotated[list[Port], msgspec.Meta(max_length=32)],
    "argv": Annotated[list[Word], msgspec.Meta(max_length=64)],
    "folders": Annotated[list[Folder], msgspec.Meta(max_length=32)],
}
KINDS: Final = frozenset({*_KINDS, "address", "on_demand"})


def remote_value(kind: str, value: object) -> Any:
    """The value as everybody reads it. Raises ValueError."""
    if kind == "address":
        address = normalise_address(value) if isinstance(value, str) else None
        if address is None:
            raise ValueError("not an address")
        return address
    if kind == "on_demand":
        return msgspec.to_builtins(_services(value))
    found = msgspec.convert(value, _KINDS[kind])
    return list(dict.fromkeys(found)) if kind != "argv" else found


def on_demand(value: object) -> dict[int, OnDemand]:
    """A checked `remote_services` by port."""
    return {int(port): service for port, service in _services(value).items()}


def _services(value: object) -> dict[str, OnDemand]:
    found = msgspec.convert({"services": value}, _Services).services
    if len(found) > 32:
        raise ValueError("too many")
    for port in found:
        if not (port.isascii() and port.isdigit() and str(int(port)) == port and 1 <= int(port) <= 65535):
            raise ValueError("not a port")
    return found
