"""/tokens: a user's own long-lived tokens for scripts; each shown once, recognised by its prefix, revoked for good."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec

from db import tokens
from db.errors import Conflict
from hub.core import accounts, credentials, views
from hub.core.changes import TokenCreated
from hub.core.row_id import row_id
from hub.web.api_v2 import shapes
from hub.web.api_v2.kinds import Title
from hub.web.api_v2.operation import Answer, Call, Operation
from hub.web.problems import Problem, Text, not_found

MAX_LIVE = 50
"""Tokens of one user that are neither revoked nor expired."""


class NewToken(msgspec.Struct):
    """Without `expires_in_days` it lives until it is revoked."""

    name: Title
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None


async def list_tokens(call: Call) -> Answer:
    return Answer([_view(token) for token in await tokens.tokens_of(call.context.store, call.principal.id)])


async def create_token(call: Call) -> Answer:
    wanted: NewToken = call.body
    own = await tokens.tokens_of(call.context.store, call.principal.id)
    if sum(_live(token, call.now) for token in own) >= MAX_LIVE:
        raise Problem("conflict", Text("too_many_tokens", {"most": MAX_LIVE}))
    secret = credentials.new_user_token()
    days = wanted.expires_in_days
    expires_at = None if days is None else call.now + timedelta(days=days)
    made = accounts.create_token(call.principal.id, wanted.name, secret, expires_at, call.now, call.principal.actor)
    stored = await call.context.announce(*made)
    created = next(change for change in stored if isinstance(change, TokenCreated))
    data = {
        "id": created.id,
        "name": created.name,
        "prefix": created.prefix,
        "created_at": views.rfc3339(created.at),
        "expires_at": None if expires_at is None else views.rfc3339(expires_at),
        "last_used_at": None,
        "last_used_ip": None,
        "revoked_at": None,
        "token": secret.text,
    }
    return Answer(data, 201, Text("token_created"))


async def revoke_token(call: Call) -> Answer:
    token_id = row_id(call.request.path_params["token_id"])
    token = None if token_id is None else await tokens.find_token(call.context.store, token_id)
    if token is None or token.user_id != call.principal.id:
        raise not_found()
    if token.revoked_at is None:
        made = accounts.revoke_token(token.id, token.user_id, token.name, token.prefix, call.now, call.principal.actor)
        try:
            await call.context.announce(*made)
        except Conflict as late:
            if late.kind != "missing":
                raise
        call.context.gate.became_true(made)
    return Answer(status=204)


def _live(token: tokens.TokenRow, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _view(token: tokens.TokenRow) -> dict[str, Any]:
    at = {
        name: None if (moment := getattr(token, name)) is None else views.rfc3339(moment)
        for name in ("created_at", "expires_at", "last_used_at", "revoked_at")
    }
    return {"id": token.id, "name": token.name, "prefix": token.prefix, "last_used_ip": token.last_used_ip, **at}


OPERATIONS = (
    Operation(
        name="list_tokens", method="GET", path="/v2/tokens", handler=list_tokens, tag="Tokens",
        summary="Your own tokens", action="token.manage_own", answers={200: list[shapes.Token]},
    ),
    Operation(
        name="create_token", method="POST", path="/v2/tokens", handler=create_token, tag="Tokens",
        summary="Make a token; it is shown once", action="token.manage_own", body=NewToken,
        answers={201: shapes.NewToken}, refusals=(409,), example={"name": "laporan malam", "expires_in_days": 90},
        description="It may do what you may do, at the time it is used.",
    ),
    Operation(
        name="revoke_token", method="DELETE", path="/v2/tokens/{token_id}", handler=revoke_token, tag="Tokens",
        summary="Revoke one of your tokens for good", action="token.manage_own", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
