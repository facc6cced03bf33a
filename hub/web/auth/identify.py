"""Who is speaking: from a request or a socket's upgrade to a Principal. Used by the API, the pages and both sockets.

An Authorization header decides alone: when it is there and wrong, a cookie beside it does not help. A cookie may only
be a session; a Bearer text may be a machine's key, a user's token, or the session that a REST login answered.
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.kernel.context import HubContext
from hub.model import credentials
from hub.model.access import Principal
from hub.people.rules.sign_in import ABSOLUTE_S
from hub.settings import Settings
from hub.web.auth import credential_reader, csrf
from hub.web.auth.client_address import client_address


class Carried(NamedTuple):
    """The text a request offers as credential: from the Authorization header, or from the session cookie."""

    text: str
    cookie: bool


async def identify(context: HubContext, connection: HTTPConnection) -> Principal | None:
    """Whose credential the request carries; None when it has none, or one that is not valid now.

    Costs a look-up in memory for machines and for credentials seen in the last 3 s, else a read of the database (raises
    db.errors.Unavailable when that is away).
    """
    carried = carried_by(context.settings, connection)
    shape = credentials.recognise(carried.text) if carried is not None else None
    if carried is None or shape is None or (carried.cookie and shape.kind != "session"):
        return None
    if shape.kind == "key":
        return machine_by_key(context, carried.text)
    if shape.kind == "link":
        return None
    return await credential_reader.find_principal(
        context, shape, cookie=carried.cookie, address=address_of(context, connection)
    )


def machine_by_key(context: HubContext, key: str) -> Principal | None:
    """The machine whose key this is, from memory."""
    shape = credentials.recognise(key)
    if shape is None or shape.kind != "key":
        return None
    machine = context.fleet.by_key_prefix(shape.prefix)
    if machine is None or not credentials.same_hash(shape.hash, machine.api_key_hash):
        return None
    return Principal(
        kind="machine",
        id=machine.id,
        name=machine.name,
        role="machine",
        machines=frozenset({machine.id}),
        via="key",
        credential_id=machine.id,
    )


def carried_by(settings: Settings, connection: HTTPConnection) -> Carried | None:
    """What the request offers, unchecked. Two Authorization headers are none: who sends two wants one to slip by."""
    headers = connection.headers.getlist("authorization")
    if headers:
        scheme, _, text = headers[0].partition(" ")
        return Carried(text.strip() if len(headers) == 1 and scheme.lower() == "bearer" else "", cookie=False)
    cookie = connection.cookies.get(session_cookie_name(settings))
    return Carried(cookie, cookie=True) if cookie else None


def address_of(context: HubContext, connection: HTTPConnection) -> str:
    """The client's real address."""
    return client_address(connection, context.settings.behind_proxy)


def session_cookie_name(settings: Settings) -> str:
    """`__Host-` binds the cookie to this very host and to TLS, so it is only possible where there is TLS."""
    return "__Host-rvm_session" if settings.cookie_secure else "rvm_session"


def set_session_cookie(response: Response, settings: Settings, session_text: str) -> None:
    """Lax, not Strict: a link in a message must open the page signed in; changes are guarded by csrf."""
    response.set_cookie(
        session_cookie_name(settings),
        session_text,
        max_age=int(ABSOLUTE_S),
        path="/",
        secure=settings.cookie_secure,
        httponly=True,
        samesite="lax",
    )


def clear_session_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        session_cookie_name(settings), path="/", secure=settings.cookie_secure, httponly=True, samesite="lax"
    )


def csrf_token(settings: Settings, connection: HTTPConnection) -> str | None:
    """The token for the page or form being answered; None when there is no session cookie."""
    carried = carried_by(settings, connection)
    return csrf.new_csrf_token(carried.text) if carried is not None and carried.cookie else None


def csrf_holds(settings: Settings, connection: HTTPConnection, field: str | None = None) -> bool:
    """Whether a change asked for with this request's cookie came from one of our pages (`field`: a form's token)."""
    carried = carried_by(settings, connection)
    if carried is None or not carried.cookie:
        return False
    return csrf.is_proven(connection, carried.text, settings, field)
