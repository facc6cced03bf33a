"""What `doctor` finds on the way to the hub, step by step: name, port, certificate, answer, clock, key, live link. A
step that cannot be taken leaves those behind it out."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from certs import expiry
from certs.bundle import AuthorityFileError
from device.api_client import ApiClient, ApiError, HubUnreachableError, NoHubError
from device.kernel import tls
from device.link.connection import probe_upgrade
from device.settings import AgentSettings
from device.system import hardware
from protocol.instants import parse
from protocol.limits import MAX_CLOCK_AHEAD_S
from texts.catalogue import Texts

CLOCK_WARN_S: Final = 5.0
CHECK_TIMEOUT_S: Final = 10.0
_PORTS: Final = {"https": 443, "http": 80}
_BOARDS: Final = {"connected": "warn", "waits": "fail", "copy": "fail"}
"""What the hub asks about a different board; a held one does not connect."""
_BEHIND: Final = ("check_hub", "check_clock", "check_key", "check_socket")


class Check(NamedTuple):
    """`word`: ok, warn, fail or skip; `fix` "": nothing to do; `facts`: for programs, beside it."""

    name: str
    word: str
    what: str
    fix: str = ""
    facts: Mapping[str, str] = MappingProxyType({})


class _Place(NamedTuple):
    host: str
    port: int


def checks(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    parts = urlsplit(settings.base_url)
    place = _Place(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    is_reached = True
    for check in _network(place, texts):
        is_reached = is_reached and check.word != "fail"
        yield check
    if not is_reached:
        yield from _left_out(*_BEHIND, texts=texts)
        return
    if settings.is_plain:
        yield Check("check_tls", "warn", texts("tls_plain", url=settings.base_url), texts("tls_plain_fix"))
    elif parts.scheme == "https":
        yield from _tls(settings, place, texts)
    yield from _own_certificate(settings, texts)
    client = ApiClient.of(settings, timeout=CHECK_TIMEOUT_S, attempts=1)
    try:
        yield from _hub(settings, client, texts)
    finally:
        client.close()


def _left_out(*names: str, texts: Texts) -> Iterator[Check]:
    return (Check(name, "skip", texts("needs_hub")) for name in names)


def _network(place: _Place, texts: Texts) -> Iterator[Check]:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError as error:
        what = texts("name_unknown", host=place.host, why=error.strerror or error)
        yield Check("check_name", "fail", what, texts("name_unknown_fix"))
        return
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    yield Check("check_name", "ok", texts("name_found", host=place.host, addresses=addresses))
    try:
        socket.create_connection(place, CHECK_TIMEOUT_S).close()
    except OSError as error:
        code = port_fault(error)
        what = texts(f"port_{code}", host=place.host, port=place.port, why=error.strerror or error)
        yield Check("check_port", "fail", what, texts(f"port_{code}_fix", host=place.host, port=place.port))
        return
    yield Check("check_port", "ok", texts("port_open", host=place.host, port=place.port))


def port_fault(error: OSError) -> str:
    """closed (a computer is there, and nothing listens), silent (no answer), route (no way there)."""
    if isinstance(error, ConnectionRefusedError):
        return "closed"
    return "silent" if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT else "route"


def _tls(settings: AgentSettings, place: _Place, texts: Texts) -> Iterator[Check]:
    """Verified as the agent does."""
    trust = settings.hub_trust
    try:
        with (
            socket.create_connection(place, CHECK_TIMEOUT_S) as raw,
            trust.context().wrap_socket(raw, server_hostname=place.host) as secure,
        ):
            ends, version = (secure.getpeercert() or {}).get("notAfter"), secure.version()
    except OSError as error:
        yield _tls_fault(error, place.host, texts)
        return
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), timezone.utc)
    yield _dated("check_tls", until, texts("tls_soon_fix"), texts, f"tls_{trust.mode}", version=version)
    try:
        pinned = trust.bundle()
    except AuthorityFileError:
        return
    if pinned is not None:
        yield _dated("check_authority", pinned.ends_at, texts("authority_soon_fix"), texts, "authority_until")


def _dated(name: str, until: datetime, fix: str, texts: Texts, key: str, **values: object) -> Check:
    now = datetime.now(timezone.utc)
    level, left = expiry.expiry(until, now), max(0, expiry.days_left(until, now))
    what = texts(key, until=f"{until:%Y-%m-%d}", count=left, **values)
    facts = {"not_after": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    return Check(name, "fail" if level == "expired" else "warn" if level else "ok", what, fix, facts)


def _tls_fault(error: OSError, host: str, texts: Texts) -> Check:
    code, now = tls.fault(error), f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    if code == "other":
        return Check("check_tls", "skip", texts("needs_hub"))
    why = getattr(error, "verify_message", "") or getattr(error, "reason", "")
    what = texts(f"tls_{code}", host=host, why=why, now=now)
    return Check("check_tls", "fail", what, texts(f"tls_{'expired' if code == 'early' else code}_fix", host=host))


def _own_certificate(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    file = settings.hub_trust.certificate
    fix = texts("own_certificate_fix", device_id=settings.device_id)
    try:
        until = settings.hub_trust.certificate_ends_at()
    except (OSError, ValueError) as wrong:
        yield Check("check_certificate", "fail", texts("own_certificate_unreadable", file=file, why=wrong), fix)
        return
    if until is not None:
        yield _dated("check_certificate", until, fix, texts, "own_certificate", file=file)


def _hub(settings: AgentSettings, client: ApiClient, texts: Texts) -> Iterator[Check]:
    began = time.monotonic()
    try:
        hub_time = client.hub_time()
    except NoHubError as error:
        what = texts("hub_portal", url=settings.base_url, status=error.status)
        yield Check("check_hub", "fail", what, texts("hub_portal_fix"))
        yield from _left_out(*_BEHIND[1:], texts=texts)
        return
    except ApiError as error:
        what = texts("hub_strange", url=settings.base_url, status=error.status)
        yield Check("check_hub", "fail", what, texts("hub_silent_fix"))
        yield from _left_out(*_BEHIND[1:], texts=texts)
        return
    except HubUnreachableError as error:
        what = texts("hub_silent", url=settings.base_url, why=error)
        yield Check("check_hub", "fail", what, texts("hub_silent_fix"))
        yield from _left_out(*_BEHIND[1:], texts=texts)
        return
    took = int((time.monotonic() - began) * 1000)
    yield Check("check_hub", "ok", texts("hub_answers", url=settings.base_url, milliseconds=took))
    yield _clock(hub_time, texts)
    yield from _key(settings, client, texts)
    why = asyncio.run(probe_upgrade(settings.socket_url, CHECK_TIMEOUT_S, settings.hub_trust.context))
    if why is None:
        yield Check("check_socket", "ok", texts("socket_passes"))
    else:
        yield Check("check_socket", "fail", texts("socket_blocked", why=why), texts("socket_blocked_fix"))


def _clock(hub_time: datetime | None, texts: Texts) -> Check:
    if hub_time is None:
        return Check("check_clock", "skip", texts("needs_hub"))
    offset = (datetime.now(timezone.utc) - hub_time).total_seconds() - 0.5  # the hub's time is in whole seconds
    if abs(offset) <= CLOCK_WARN_S:
        return Check("check_clock", "ok", texts("clock_fits", offset=f"{offset:+.1f}"))
    word = "warn" if abs(offset) < MAX_CLOCK_AHEAD_S else "fail"
    return Check("check_clock", word, texts("clock_off", offset=f"{offset:+.0f}"), texts("clock_fix"))


def _key(settings: AgentSettings, client: ApiClient, texts: Texts) -> Iterator[Check]:
    try:
        machine = client.machine()
    except ApiError as error:
        yield _key_refused(settings, error, texts)
        return
    except HubUnreachableError as error:
        what = texts("hub_silent", url=settings.base_url, why=error)
        yield Check("check_key", "fail", what, texts("hub_silent_fix"))
        return
    yield Check("check_key", "ok", texts("key_accepted", device_id=settings.device_id))
    yield from _board(machine, hardware.board_serial(Path(settings.text("sensor_root"))), texts)


def _key_refused(settings: AgentSettings, error: ApiError, texts: Texts) -> Check:
    if error.code.startswith("certificate_"):
        return Check("check_key", "fail", texts(error.code), texts("tls_client_fix"))
    if error.status in (403, 404):
        what = texts("key_other", device_id=settings.device_id)
        return Check("check_key", "fail", what, texts("key_other_fix"))
    if error.status == 401:
        return Check("check_key", "fail", texts("key_unknown", url=settings.base_url), texts("key_refused_fix"))
    return Check("check_key", "fail", texts("key_refused", status=error.status), texts("hub_silent_fix"))


def _board(machine: Mapping[str, Any], serial: str | None, texts: Texts) -> Iterator[Check]:
    """Two machines with one key, or another board than the hub knows; `serial`: of this one."""
    until, question = _instant(machine.get("quarantined_until")), machine.get("board_question")
    newest = (machine.get("hardware") or {}).get("board_serial")
    if until is not None and until > datetime.now(timezone.utc):
        what = texts("key_twice", until=f"{until:%Y-%m-%d %H:%M} UTC")
        yield Check("check_board", "fail", what, texts("key_twice_fix"))
    elif question in _BOARDS:
        yield Check("check_board", _BOARDS[question], texts(f"board_{question}"), texts("board_fix"))
    elif serial and newest and serial != newest:
        yield Check("check_board", "warn", texts("board_elsewhere", serial=serial, newest=newest), texts("board_fix"))


def _instant(text: object) -> datetime | None:
    try:
        return parse(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
