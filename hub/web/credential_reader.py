"""From a recognised secret to the Principal it belongs to: the cache first, then the database.

Also where the use of a credential is noted: a session in use lives on, a token remembers when it was used last. Those
writes ride behind an answer and are rare (5 minutes, 1 minute), so that no request waits for them.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from db import errors as db_errors
from db import sessions, tokens, users
from hub.core import changes, sign_in
from hub.core.access import Principal, Role, Via, machines_of
from hub.core.credentials import Presented, same_hash
from hub.web.context import HubContext

NOTE_TOKEN_USE = timedelta(minutes=1)


async def find(context: HubContext, shape: Presented, *, cookie: bool, address: str) -> Principal | None:
    """Whose session or token `shape` is; None when it is unknown, expired, revoked or its user disabled."""
    now = context.clock()
    known = context.gate.known.find(shape.hash, now)
    if known is None:
        is_session = shape.kind == "session"
        known = await context.gate.known.share(
            shape.hash, lambda: _session(context, shape, now) if is_session else _token(context, shape, now, address)
        )
    if known is not None and known.via == "session" and not cookie:
        return replace(known, via="login")
    return known


async def write_uses(context: HubContext) -> None:
    """Write what was noted. A database that is away loses nothing that matters: the next use is noted again."""
    uses = list(context.gate.uses.values())
    context.gate.uses.clear()
    with contextlib.suppress(db_errors.StoreError):
        await context.announce(*uses)


async def _session(context: HubContext, shape: Presented, now: datetime) -> Principal | None:
    generation = context.gate.known.generation
    session = await sessions.find_session(context.store, shape.hash)
    if session is None and (unstored := context.gate.unstored.find(shape.hash, now)) is not None:
        return await _principal(context, unstored.user_id, "session", 0)
    if session is None or session.expires_at <= now:
        return None
    principal = await _principal(context, session.user_id, "session", session.id)
    if principal is None:
        return None
    context.gate.known.keep(shape.hash, principal, session.expires_at, generation)
    longer = sign_in.extended(shape.hash, session.created_at, session.expires_at, now)
    if longer is not None:
        context.gate.note_use(shape.hash, longer)
    return principal


async def _token(context: HubContext, shape: Presented, now: datetime, address: str) -> Principal | None:
    generation = context.gate.known.generation
    token = await tokens.find_token_by_prefix(context.store, shape.prefix)
    if token is None or not same_hash(shape.hash, token.hash) or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    principal = await _principal(context, token.user_id, "token", token.id)
    if principal is None:
        return None
    context.gate.known.keep(shape.hash, principal, token.expires_at, generation)
    if token.last_used_at is None or now - token.last_used_at >= NOTE_TOKEN_USE:
        context.gate.note_use(shape.hash, changes.TokenUsed(token_id=token.id, at=now, ip=address or None))
    return principal


async def _principal(context: HubContext, user_id: int, via: Via, credential_id: int) -> Principal | None:
    user = await users.find_user(context.store, user_id)
    if user is None or user.disabled_at is not None:
        return None
    role: Role = user.role  # type: ignore[assignment]
    return Principal(
        kind="user",
        id=user.id,
        name=user.name,
        role=role,
        machines=machines_of(role, user.machines),
        via=via,
        credential_id=credential_id,
        language=user.language,
        theme=user.theme,
        email=user.email,
    )
