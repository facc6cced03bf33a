"""Sends one message by apprise, in a process of its own that ends with it: this file is run by itself (`-I`).

Apprise takes 0.7 s and 20 MiB to import (all of its services 2 s and 36 MiB), blocks, keeps no deadline for an answer
that comes byte by byte, and tells success only. So it never stands in the hub, and what it may do is narrowed here:
no other program, no file written, no address that leads to the hub's own computer. Standard input has one message as
JSON, standard output how it ended."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import resource
import signal
import sys
from typing import Any, Final

TITLE: Final = "MyRVM"
MEMORY_BYTES: Final = 512 * 2**20
CPU_S: Final = 20
LIFE_S: Final = 40
"""Longer than the hub waits: for what a hub that was killed leaves behind."""
READ_S: Final = 10.0
METADATA: Final = frozenset({"100.100.100.200", "192.0.0.192", "fd00:ec2::254"})
"""Clouds give a computer's own credentials there; the usual 169.254.169.254 is link-local."""
PROGRAMS: Final = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn")
_SMTP: Final = re.compile(r"\((\d{3}), b?['\"]")
_NAME: Final = re.compile(r"Errno -[2-8]\b|nodename|getaddrinfo", re.I)


class SendAttempt:
    """How far it came: the last thing that went wrong explains a failure."""

    def __init__(self) -> None:
        self.code = ""
        self.status: int | None = None
        self.retry_after: str | None = None

    def note(self, code: str, status: int | None = None, retry_after: str | None = None) -> None:
        if self.code != "address_refused":
            self.code, self.status, self.retry_after = code, status, retry_after


class AddressRefusedError(OSError):
    """Libraries take it for a connection that failed."""


def is_refused(host: str, *, loopback: bool) -> bool:
    """Of an address as connect() gets it, a name already looked up."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return not loopback
    return (
        address.is_link_local or address.is_multicast or address.is_unspecified or str(address) in METADATA
        or (address.version == 4 and address.is_reserved)
    )  # fmt: skip


def confine(attempt: SendAttempt, *, loopback: bool) -> None:
    """For the rest of this process's life."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(LIFE_S)

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if event in PROGRAMS:
            raise PermissionError(event)
        if event in ("socket.connect", "socket.sendto"):
            address = args[1]
            if not isinstance(address, tuple) or is_refused(str(address[0]), loopback=loopback):
                attempt.note("address_refused")
                raise AddressRefusedError("this address is refused")

    sys.addaudithook(guard)


def plugin(scheme: str) -> Any:
    """Of the services that were read and tried: one is imported, not 170. Raises KeyError."""
    match scheme.removesuffix("s"):
        case "tgram":
            from apprise.plugins import telegram

            return telegram.NotifyTelegram
        case "mailto":
            from apprise.plugins import email

            return email.NotifyEmail
        case "ntfy":
            from apprise.plugins import ntfy

            return ntfy.NotifyNtfy
        case "json":
            from apprise.plugins import custom_json

            return custom_json.NotifyJSON
        case "gotify":
            from apprise.plugins import gotify

            return gotify.NotifyGotify
        case "mmost":
            from apprise.plugins import mattermost

            return mattermost.NotifyMattermost
        case "signal":
            from apprise.plugins import signal_api

            return signal_api.NotifySignalAPI
        case "slack":
            from apprise.plugins import slack

            return slack.NotifySlack
        case "discord":
            from apprise.plugins import discord

            return discord.NotifyDiscord
        case "workflow":
            from apprise.plugins import workflows

            return workflows.NotifyWorkflows
        case "gchat":
            from apprise.plugins import google_chat

            return google_chat.NotifyGoogleChat
        case "pover":
            from apprise.plugins import pushover

            return pushover.NotifyPushover
        case "whatsapp":
            from apprise.plugins import whatsapp

            return whatsapp.NotifyWhatsApp
        case _:
            raise KeyError(scheme)


def watch_http(attempt: SendAttempt) -> None:
    """apprise says only that it failed: the answer's status and the kind of failure are noted on their way."""
    from requests import adapters, exceptions

    send = adapters.HTTPAdapter.send

    def noted(adapter: Any, request: Any, **options: Any) -> Any:
        try:
            answer = send(adapter, request, **options)
        except exceptions.SSLError:
            attempt.note("tls")
            raise
        except exceptions.Timeout:
            attempt.note("timeout")
            raise
        except exceptions.RequestException as error:
            attempt.note("name" if _NAME.search(str(error)) else "connection")
            raise
        attempt.note("http", answer.status_code, answer.headers.get("Retry-After"))
        return answer

    adapters.HTTPAdapter.send = noted  # type: ignore[method-assign, assignment]


class SmtpLog(logging.Handler):
    """What apprise logs of an e-mail that failed, as a code; the line itself may name people and goes nowhere."""

    def __init__(self, attempt: SendAttempt) -> None:
        super().__init__(logging.DEBUG)
        self._attempt = attempt

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if not line.startswith("Socket Exception"):
            return
        if found := _SMTP.search(line):
            self._attempt.note("smtp", int(found[1]))
        elif "timed out" in line:
            self._attempt.note("timeout")
        elif "SSL" in line or "certificate" in line.lower():
            self._attempt.note("tls")
        else:
            self._attempt.note("name" if _NAME.search(line) else "connection")


def send(wanted: dict[str, Any]) -> dict[str, Any]:
    attempt = SendAttempt()
    from apprise import Apprise, AppriseAsset, NotifyFormat, PersistentStoreMode

    log = logging.getLogger("apprise")
    log.setLevel(logging.DEBUG)
    log.handlers, log.propagate = [SmtpLog(attempt)], False
    asset = AppriseAsset(
        app_id=TITLE, app_desc=TITLE, app_url="", image_url_mask="", image_url_logo="", http_redirects=False,
        storage_mode=PersistentStoreMode.MEMORY, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip
    service = plugin(wanted["scheme"])
    watch_http(attempt)
    confine(attempt, loopback=wanted["loopback"])
    try:
        read = service.parse_url(wanted["url"])
        made = service(**read, asset=asset) if read else None
    except (TypeError, ValueError):
        made = None
    if made is None:
        return {"ok": False, "code": "address"}
    made.socket_read_timeout = READ_S
    sender = Apprise(asset=asset)
    sender.add(made)
    # As text: apprise escapes it for services that read HTML or Markdown.
    text = {"title": wanted["title"], "body": wanted["body"], "body_format": NotifyFormat.TEXT}
    if sender.notify(**text, notify_type=wanted["kind"]):
        return {"ok": True}
    redirected = attempt.status is not None and 300 <= attempt.status < 400
    code = "redirect" if redirected else attempt.code or "unknown"
    return {"ok": False, "code": code, "status": attempt.status, "retry_after": attempt.retry_after}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(send(json.load(sys.stdin))))
