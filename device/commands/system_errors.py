"""What the operating system answered to a request of ours, as the end of a command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from device.commands.job import WorkFailed
from device.system.bus import NotPermittedError, SystemBusError

NOT_PERMITTED = "not_permitted"


@contextlib.contextmanager
def as_failures() -> Iterator[None]:
    """Codes: `not_permitted`, `timeout`, `no_such_service`, and `system` for whatever else did not work."""
    try:
        yield
    except NotPermittedError as refused:
        raise WorkFailed(NOT_PERMITTED, str(refused)) from refused
    except SystemBusError as failed:
        code = "timeout" if failed.name == "timeout" else "system"
        if failed.name.endswith((".NoSuchUnit", ".LoadFailed")):
            code = "no_such_service"
        raise WorkFailed(code, str(failed)) from failed
