"""`set_status`: the machine takes the status it is told to, if there is such a status."""

from __future__ import annotations

from device.core.hub_clock import Moment
from device.core.machine_state import MachineState, changed_by_command
from protocol.commands import SetStatus


def run(state: MachineState, args: SetStatus, now: Moment) -> tuple[MachineState, dict[str, object]]:
    """The state that follows and the command's result."""
    following = changed_by_command(state, args, now.machine)
    result: dict[str, object] = {"status": following.status, "effective_status": following.effective_status}
    return following, result
