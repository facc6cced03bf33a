"""What a start tells the person at the terminal: an address that cannot be had, or where everything is."""

from __future__ import annotations

import argparse
import os
import webbrowser
from threading import Thread

from hub.cli import output
from hub.cli.data_door import clock_time
from hub.cli.exit_codes import CliError, Exit
from hub.cli.language import say
from hub.cli.sign_in_link import SignInLink
from hub.server import listener
from hub.settings import Settings
from protocol.version import PRODUCT_VERSION


def check_address(settings: Settings) -> None:
    """Said before anything is made: an address that cannot be had (the hub binds it for good a moment later)."""
    try:
        listener.listen(settings.host, settings.port).close()
    except listener.CannotListenError as error:
        taken = say("port.taken", port=settings.port, host=settings.host, why=error)
        raise CliError(Exit.CONFLICT, "port_in_use", taken, say("port.taken.fix")) from error


def show_start(
    settings: Settings, url: str, link: SignInLink | None, *, open_browser: bool = False, machines: str = ""
) -> None:
    """Exactly what a person needs now: where, the way in, the data, how to stop."""
    base = settings.public_url or url
    lines = [(say("start.open"), base + "/")]
    if link is not None:
        until = say("start.sign_in_note", until=clock_time(link.expires_at))
        lines.append((say("start.sign_in"), f"{link.url(base)}  {until}"))
    if machines:
        lines.append((say("start.machines"), machines))
    lines += [(say("start.data"), str(settings.data_dir)), (say("start.stop"), say("start.stop_note"))]
    width = max(len(name) for name, _ in lines)
    output.result(say("start.title", version=PRODUCT_VERSION))
    for name, value in lines:
        output.result(f"  {name.ljust(width)}  {value}")
    if open_browser:
        target = base if link is None else link.url(base)
        Thread(target=webbrowser.open, args=(target,), daemon=True).start()


def wants_browser(wanted: argparse.Namespace) -> bool:
    return bool(wanted.open) or os.environ.get("RVM_OPEN", "").lower() in ("1", "true", "yes", "on")
