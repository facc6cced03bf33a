"""Decides which machines a filter selects. Values in, values out."""

from __future__ import annotations

from hub.model.machine import Machine


def matches(
    machine: Machine, *, status: str | None = None, connection: str | None = None, health: str | None = None,
    text: str = "",
) -> bool:  # fmt: skip
    """`status` is the effective one; `text` is looked for in name, device_id and location. None and "" match all."""
    wanted = ((status, machine.effective_status), (connection, machine.connection), (health, machine.health))
    sought = text.strip().casefold()
    fields = (machine.name, machine.device_id, machine.location_description or "")
    return all(value in (None, actual) for value, actual in wanted) and (
        not sought or any(sought in field.casefold() for field in fields)
    )
