"""`remote ticket` on the command line: a ticket for the control page of a machine that shows it to a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from device import hardware
from device.settings import Settings
from texts.catalogue import Texts

Complain = Callable[[str, int, str], int]
FAILED: Final = 1
REFUSED: Final = 2


def print_ticket(settings: Settings, texts: Texts, complain: Complain, *, as_json: bool) -> int:
    """Make one and print it; where the page is on loopback only, none is needed and none is made."""
    from device.control_page.tickets import TICKET_S, issue
    from protocol.addresses import is_loopback

    bind, port = settings.text("remote_access_bind"), int(settings.number("remote_access_port"))
    if is_loopback(bind):
        return complain("page_no_ticket", REFUSED, texts("page_no_ticket", bind=bind))
    try:
        ticket = issue(settings.state_dir, hardware.boot_id(Path(settings.text("sensor_root"))))
    except OSError as error:
        why = error.strerror or "error"
        return complain("state_unusable", FAILED, texts("state_unusable", folder=settings.state_dir, why=why))
    told = {"ticket": ticket, "port": port, "seconds": TICKET_S}
    print(
        json.dumps(told) if as_json else texts("page_ticket_made", ticket=ticket, port=port, count=round(TICKET_S / 60))
    )
    return 0
