"""Finds the Principal of a recognised secret: the cache first, then the database.

Also notes the use of a credential: a session in use lives on, a token remembers when it was used last. Those writes
follow an answer and are rare (5 minutes, 1 minute), so that no request waits for them.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from db import errors as db_errors
from db import sessions, tokens, users
from hub.kernel.context import HubContext
from hub.model import changes
from hub.model.access import Principal, Role, Via, machines_of
from hub.model.credentials import Presented, same_hash
from hub.people.rules import sign_in
from hub.web.auth.gate import Gate

NOTE_TOKEN_USE = timedelta(minutes=1)


async def find_principal(context: HubContext, shape: Presented, *, cookie: bool, address: str) -> Principal | None:
    """Whose session or token `shape` is; None when it is unknown, expired, revoked or its user disabled."""
    now = context.clock()
    known = context[Gate].known.find(shape.hash, now)
    if known is None:
        is_session = shape.kind == "session"
        known = await context[Gate].known.share(
            shape.hash, lambda: _session(context, shape, now) if is_session else _token(context, shape, now, address)
        )
    if known is not None and known.via == "session" and not cookie:
        return replace(known, via="login")
    return known


async def write_uses(context: HubContext) -> None:
    """Write what was noted. A database that is away loses nothing that matters: the next use is noted again."""
    uses = list(context[Gate].uses.values())
    context[Gate].uses.clear()
    with contextlib.suppress(db_errors.StoreError):
        await context.announce(*uses)


async def _session(context: HubContext, shape: Presented, now: datetime) -> Principal | None:
    generation = context[Gate].known.generation
    session = await sessions.find_session(context.store, shape.hash)
    if session is None and (unstored := context[Gate].unstored.find(shape.hash, now)) is not None:
        return await _principal(context, unstored.user_id, "session", 0)
    if session is None or session.expires_at <= now:
        return None
    principal = await _principal(context, session.user_id, "session", session.id)
    if principal is None:
        return None
    context[Gate].known.keep(shape.hash, principal, session.expires_at, generation)
    longer = sign_in.extended(shape.hash, session.created_at, session.expires_at, now)
    if longer is not None:
        context[Gate].note_use(shape.hash, longer)
    return principal


async def _token(context: HubContext, shape: Presented, now: datetime, address: str) -> Principal | None:
    generation = context[Gate].known.generation
    token = await tokens.find_token_by_prefix(context.store, shape.prefix)
    if token is None or not same_hash(shape.hash, token.hash) or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    principal = await _principal(context, token.user_id, "token", token.id)
    if principal is None:
        return None
    context[Gate].known.keep(shape.hash, principal, token.expires_at, generation)
    if token.last_used_at is None or now - token.last_used_at >= NOTE_TOKEN_USE:
        context[Gate].note_use(shape.hash, changes.TokenUsed(token_id=token.id, at=now, ip=address or None))
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
