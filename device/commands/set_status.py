"""`set_status`: the machine takes the status it is told to, if there is such a status and it may be that now."""

from __future__ import annotations

from device.link.rules import Moment, parse_time
from device.status.rules import MachineState, RefusedError, changed_by_command
from protocol.commands import SetStatus
from protocol.messages import Failure


def set_status(state: MachineState, args: SetStatus, now: Moment) -> tuple[MachineState, dict[str, object]]:
    """The state that follows and the command's result. Raises RefusedError."""
    if args.until is not None:
        until = parse_time(args.until)
        if until is None:
            raise RefusedError(Failure(code="invalid", message="until: not an RFC 3339 time"))
        if until <= now.hub:
            raise RefusedError(Failure(code="expired", message="the time until which it was to hold has passed"))
    following = changed_by_command(state, args, now.machine)
    result: dict[str, object] = {"status": following.status, "effective_status": following.effective_status}
    return following, result
