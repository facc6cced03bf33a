"""Begins, ends and lists remote sessions, and prints tickets for the control page. Calls the hub with the machine's
key; needs no running agent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from device.api_client import ApiClient
from device.cli.exit_codes import FAILED, OK, WRONG_USAGE, Complain
from device.cli.hub_answer import answer_of
from device.settings import AgentSettings
from device.system import hardware
from texts.catalogue import Texts


def print_ticket(settings: AgentSettings, texts: Texts, complain: Complain, *, as_json: bool) -> int:
    """A page on loopback needs none."""
    from device.control_page.tickets import TICKET_S, issue
    from protocol.addresses import is_loopback

    bind, port = settings.text("remote_access_bind"), int(settings.number("remote_access_port"))
    if is_loopback(bind):
        return complain("page_no_ticket", WRONG_USAGE, texts("page_no_ticket", bind=bind))
    try:
        ticket = issue(settings.state_dir, hardware.boot_id(Path(settings.text("sensor_root"))))
    except OSError as error:
        why = error.strerror or "error"
        return complain("state_unusable", FAILED, texts("state_unusable", folder=settings.state_dir, why=why))
    made = {"ticket": ticket, "port": port, "seconds": TICKET_S}
    print(
        json.dumps(made) if as_json else texts("page_ticket_made", ticket=ticket, port=port, count=round(TICKET_S / 60))
    )
    return OK


def add_remote_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    what = texts("cli_remote_what")
    action.add_argument("remote", nargs="?", choices=("start", "stop", "status", "ticket"), default="status", help=what)
    action.add_argument("--reason", metavar="TEXT", help=texts("cli_remote_reason"))
    action.add_argument("--duration", type=float, metavar="SECONDS", help=texts("cli_remote_duration"))
    action.add_argument("--admin", type=int, metavar="NUMBER", help=texts("cli_remote_admin"))
    action.add_argument("--session", type=int, metavar="NUMBER", help=texts("cli_remote_session"))


def remote(settings: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    if arguments.remote == "ticket":
        return print_ticket(settings, texts, complain, as_json=arguments.json)
    data = answer_of(lambda client: _asked(client, arguments), settings, texts, complain, "remote_unreachable")
    if isinstance(data, int):
        return data
    if arguments.json:
        print(json.dumps(data))
    else:
        for line in _lines(data, texts, arguments):
            print(line)
    return OK


def _asked(client: ApiClient, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.remote == "start":
        return client.start_remote_access(
            admin_id=arguments.admin, reason=arguments.reason, duration=arguments.duration
        )
    if arguments.remote == "stop":
        return client.stop_remote_access(session_id=arguments.session, reason=arguments.reason)
    return client.remote_access_status()


def _lines(data: dict[str, Any], texts: Texts, arguments: argparse.Namespace) -> list[str]:
    if arguments.remote == "start":
        return [texts("remote_started", **_named(data))]
    if arguments.remote == "stop":
        return [texts("remote_stopped", **_named(data))]
    return [texts("remote_open", **_named(one)) for one in data.get("sessions", [])] or [texts("remote_none")]


def _named(session: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": session.get("id", "?"),
        "admin": session.get("admin_name") or "-",
        "reason": session.get("reason") or "-",
        "expires_at": session.get("expires_at") or "-",
    }
