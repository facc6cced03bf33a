"""Finds out whose credential a request or an upgrade carries: in memory, else in the database.

An Authorization header decides alone. A cookie may only be a session; a Bearer text a machine's key, a user's token,
or a REST login's session."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, NamedTuple

import anyio
from starlette.requests import HTTPConnection
from starlette.responses import Response

from db import errors as db_errors
from db.queries import credentials as rows
from db.queries import users
from hub.kernel.context import HubContext
from hub.links import rules as link_rules
from hub.model import credentials
from hub.model.access import Principal, Role, Via, machines_of, narrowed
from hub.model.credentials import Presented, same_hash
from hub.model.machine import Machine
from hub.people import rules
from hub.people.rules import ABSOLUTE_S
from hub.settings import Settings
from hub.web.auth import origin
from hub.web.auth.origin import client_address
from hub.web.auth.state import SECOND_STEP_S, AuthState


class Carried(NamedTuple):
    text: str
    cookie: bool


async def identify(context: HubContext, connection: HTTPConnection) -> Principal | None:
    """None: no valid one. Raises db.errors.Unavailable."""
    carried = carried_by(context.settings, connection)
    shape = credentials.recognise(carried.text) if carried is not None else None
    if carried is None or shape is None or (carried.cookie and shape.kind != "session"):
        return None
    if shape.kind == "key":
        principal = machine_by_key(context, carried.text)
        machine = None if principal is None else context.fleet.machines.get(principal.id)
        return None if machine is None or certificate_fault(context, connection, machine) else principal
    if shape.kind == "link":
        return None
    return await find_principal(context, shape, cookie=carried.cookie, address=address_of(context, connection))


CLIENT_MACHINE: Final = "myrvm.client_machine"
"""In a request's state: the device_id in the certificate that came with its connection (mutual TLS)."""
REFUSAL_NOTED_EVERY_S: Final = 60.0


def certificate_fault(context: HubContext, connection: HTTPConnection, machine: Machine) -> str | None:
    """Why the right key is not enough: `certificate_missing`, or `certificate_other` of another machine."""
    if context.settings.tls_client_authority is None:
        return None
    shown = connection.scope.get("state", {}).get(CLIENT_MACHINE)
    if shown is None:
        return "certificate_missing" if context.settings.tls_client_required else None
    return None if shown == machine.row.device_id else "certificate_other"


async def refused_certificate(context: HubContext, connection: HTTPConnection) -> str | None:
    """The fault of a request whose key is right; noted in the audit log, once a minute for each machine."""
    carried = carried_by(context.settings, connection)
    principal = None if carried is None or carried.cookie else machine_by_key(context, carried.text)
    machine = None if principal is None else context.fleet.machines.get(principal.id)
    fault = None if machine is None else certificate_fault(context, connection, machine)
    if machine is not None and fault is not None:
        await note_certificate_fault(context, connection, machine, fault)
    return fault


async def note_certificate_fault(context: HubContext, connection: HTTPConnection, machine: Machine, fault: str) -> None:
    noted, now = context[AuthState].certificate_faults, monotonic()
    if now - noted.get(machine.id, -REFUSAL_NOTED_EVERY_S) < REFUSAL_NOTED_EVERY_S:
        return
    noted[machine.id] = now
    address = address_of(context, connection)
    with contextlib.suppress(db_errors.StoreError):
        await context.announce(link_rules.certificate_refused(machine, fault, address, context.clock()))


def machine_by_key(context: HubContext, key: str) -> Principal | None:
    shape = credentials.recognise(key)
    if shape is None or shape.kind != "key":
        return None
    machine = context.fleet.by_key_prefix(shape.prefix)
    if machine is None or not any(
        credentials.same_hash(shape.hash, own) for own in (machine.row.api_key, machine.row.next_api_key)
    ):
        return None
    return Principal(
        kind="machine", id=machine.id, name=machine.name, role="machine", machines=frozenset({machine.id}), via="key",
        credential_id=machine.id,
    )  # fmt: skip


def carried_by(settings: Settings, connection: HTTPConnection) -> Carried | None:
    """Unchecked. Two Authorization headers are none."""
    headers = connection.headers.getlist("authorization")
    if headers:
        scheme, _, text = headers[0].partition(" ")
        return Carried(text.strip() if len(headers) == 1 and scheme.lower() == "bearer" else "", cookie=False)
    cookie = connection.cookies.get(session_cookie_name(settings))
    return Carried(cookie, cookie=True) if cookie else None


def address_of(context: HubContext, connection: HTTPConnection) -> str:
    return client_address(connection, context.settings.behind_proxy)


def session_cookie_name(settings: Settings) -> str:
    """`__Host-` binds it to this host, all of it, and to TLS; below a path of a site, `__Secure-` to TLS alone."""
    if not settings.cookie_secure:
        return "rvm_session"
    return "__Secure-rvm_session" if settings.base_path else "__Host-rvm_session"


def cookie_path(settings: Settings) -> str:
    return settings.base_path or "/"


def set_session_cookie(response: Response, settings: Settings, session_text: str) -> None:
    """Lax: a link in a message must open the page signed in; csrf guards changes."""
    _set_cookie(response, settings, session_cookie_name(settings), session_text, ABSOLUTE_S)


def clear_session_cookie(response: Response, settings: Settings) -> None:
    _clear_cookie(response, settings, session_cookie_name(settings))


def second_step_cookie_name(settings: Settings) -> str:
    return session_cookie_name(settings).replace("session", "second_step")


def set_second_step_cookie(response: Response, settings: Settings, secret: str) -> None:
    """What a browser holds between the two steps: no session, it opens nothing."""
    _set_cookie(response, settings, second_step_cookie_name(settings), secret, SECOND_STEP_S)


def clear_second_step_cookie(response: Response, settings: Settings) -> None:
    _clear_cookie(response, settings, second_step_cookie_name(settings))


def _set_cookie(response: Response, settings: Settings, name: str, text: str, lasts_s: float) -> None:
    response.set_cookie(
        name, text, max_age=int(lasts_s), path=cookie_path(settings),
        secure=settings.cookie_secure, httponly=True, samesite="lax",
    )  # fmt: skip


def _clear_cookie(response: Response, settings: Settings, name: str) -> None:
    response.delete_cookie(
        name, path=cookie_path(settings), secure=settings.cookie_secure, httponly=True, samesite="lax"
    )


LANGUAGE_COOKIE: Final = "rvm_language"
THEME_COOKIE: Final = "rvm_theme"


def clearing_own_cookies(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that clear what the hub has set in a browser, and nothing of its neighbours'."""
    answer = Response()
    clear_session_cookie(answer, settings)
    clear_second_step_cookie(answer, settings)
    for name in (LANGUAGE_COOKIE, THEME_COOKIE):
        answer.delete_cookie(
            name, path=cookie_path(settings), secure=settings.cookie_secure, httponly=True, samesite="lax"
        )
    return tuple(pair for pair in answer.raw_headers if pair[0] == b"set-cookie")


def csrf_token(settings: Settings, connection: HTTPConnection) -> str | None:
    """None without a session cookie."""
    carried = carried_by(settings, connection)
    return origin.new_csrf_token(carried.text) if carried is not None and carried.cookie else None


def csrf_holds(settings: Settings, connection: HTTPConnection, field: str | None = None) -> bool:
    """Whether a change came from one of our pages (`field`: a form's token)."""
    carried = carried_by(settings, connection)
    if carried is None or not carried.cookie:
        return False
    return origin.is_proven(connection, carried.text, settings, field)


NOTE_TOKEN_USE = timedelta(minutes=1)


async def find_principal(context: HubContext, shape: Presented, *, cookie: bool, address: str) -> Principal | None:
    """None: unknown, expired, revoked, or its user disabled."""
    now = context.clock()
    known = context[AuthState].credentials.find(shape.hash, now)
    if known is None:
        is_session = shape.kind == "session"
        known = await context[AuthState].credentials.share(
            shape.hash, lambda: _session(context, shape, now) if is_session else _token(context, shape, now, address)
        )
    if known is not None and known.via == "session" and not cookie:
        return replace(known, via="login")
    return known


async def write_uses(context: HubContext) -> None:
    """What cannot be stored is noted again at the next use."""
    uses = list(context[AuthState].uses.values())
    context[AuthState].uses.clear()
    with contextlib.suppress(db_errors.StoreError):
        await context.announce(*uses)


WRITE_USES_EVERY_S: Final = 60.0
"""Of those that pages and sockets noted: an answer of REST writes what is there behind it."""


async def keep_uses_written(context: HubContext) -> None:
    while True:
        await anyio.sleep(WRITE_USES_EVERY_S)
        if context[AuthState].uses:
            await write_uses(context)


async def _session(context: HubContext, shape: Presented, now: datetime) -> Principal | None:
    generation = context[AuthState].credentials.generation
    session = await rows.find_session(context.store, shape.hash)
    if session is None and (unstored := context[AuthState].unstored.find(shape.hash, now)) is not None:
        return await _principal(context, unstored.user_id, "session", 0)
    if session is None or session.expires_at <= now:
        return None
    principal = await _principal(context, session.user_id, "session", session.id)
    if principal is None:
        return None
    context[AuthState].credentials.keep(shape.hash, principal, session.expires_at, generation)
    longer = rules.extended_session(session, now)
    if longer is not None:
        context[AuthState].note_use(shape.hash, longer)
    return principal


async def _token(context: HubContext, shape: Presented, now: datetime, address: str) -> Principal | None:
    generation = context[AuthState].credentials.generation
    token = await rows.find_token_by_prefix(context.store, shape.prefix)
    if token is None or not same_hash(shape.hash, token.hash) or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    owner = await _principal(context, token.user_id, "token", token.id)
    if owner is None:
        return None
    reach = None
    if token.machines is not None or token.tags is not None:
        reach = frozenset(token.machines or ()) | await users.machines_tagged(context.store, token.tags or ())
    principal = narrowed(owner, token.role, reach)
    context[AuthState].credentials.keep(shape.hash, principal, token.expires_at, generation)
    if token.last_used_at is None or now - token.last_used_at >= NOTE_TOKEN_USE:
        context[AuthState].note_use(shape.hash, rules.use_token(token.id, now, address or None))
    return principal


async def _principal(context: HubContext, user_id: int, via: Via, credential_id: int) -> Principal | None:
    user = await users.find_user(context.store, user_id)
    if user is None or user.disabled_at is not None:
        return None
    role: Role = user.role  # type: ignore[assignment]  # the column has no other
    return Principal(
        kind="user", id=user.id, name=user.name, role=role, machines=machines_of(role, user.machines), via=via,
        credential_id=credential_id, language=user.language, theme=user.theme, timezone=user.timezone,
        email=user.email,
    )  # fmt: skip
