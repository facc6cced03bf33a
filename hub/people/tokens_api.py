"""/tokens: users' long-lived tokens for scripts, each shown once. Administrators see and revoke all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from db.errors import Conflict
from db.queries import credentials as tokens
from db.records import TokenRow
from hub.model import credentials, views
from hub.model.access import may
from hub.model.actors import row_id
from hub.model.changes import put_rows
from hub.people import rules
from hub.web.api import endpoint, headers
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.auth.state import AuthState
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import Limit, Row, Title

MAX_LIVE = 50
"""Of one user, neither revoked nor expired."""


@of_record(TokenRow, without=("hash",))
class Token(msgspec.Struct):
    """`prefix` is how its owner recognises it."""


class CreatedToken(Token):
    """`token` is shown here and never again."""

    token: str


class NewToken(msgspec.Struct):
    """Without `expires_in_days` it lives until it is revoked."""

    name: Title
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None


class TokensQuery(msgspec.Struct):
    """`user`: somebody else's, by id, or all that are valid (`all`, with pages by `limit` and `before`, the last id
    of the page before); for administrators."""

    user: Row | Literal["all"] | None = None
    limit: Limit = 100
    before: Row | None = None


async def list_tokens(call: Call) -> Answer:
    query: TokensQuery = call.query
    store, own = call.context.store, call.principal.id
    if query.user is None or query.user == own:
        return Answer([views.answer(Token, token) for token in await tokens.tokens_of(store, own)])
    endpoint.permit(call.principal, "token.manage_all")
    if query.user != "all":
        return Answer([views.answer(Token, token) for token in await tokens.tokens_of(store, query.user)])
    found = await tokens.valid_tokens(store, call.now, query.limit + 1, query.before)
    page = found[: query.limit]
    following = headers.next_page(call.request, before=page[-1].id if len(found) > len(page) else None)
    return Answer([views.answer(Token, token) for token in page], headers=following)


async def create_token(call: Call) -> Answer:
    wanted: NewToken = call.body
    own = await tokens.tokens_of(call.context.store, call.principal.id)
    if sum(is_live(token, call.now) for token in own) >= MAX_LIVE:
        raise Problem("conflict", Text("too_many_tokens", {"most": MAX_LIVE}))
    secret = credentials.new_secret("token")
    days = wanted.expires_in_days
    expires_at = None if days is None else call.now + timedelta(days=days)
    made = rules.create_token(call.principal.id, wanted.name, secret, expires_at, call.now, call.principal.actor)
    stored = await call.announce(*made)
    created = next(put_rows(stored, TokenRow))
    return Answer(views.answer(CreatedToken, created, token=secret.text), 201, Text("token_created"))


async def revoke_token(call: Call) -> Answer:
    token_id = row_id(call.request.path_params["token_id"])
    token = None if token_id is None else await tokens.find_token(call.context.store, token_id)
    own = token is not None and token.user_id == call.principal.id
    if token is None or not (own or may(call.principal, "token.manage_all")):
        raise not_found()
    if token.revoked_at is None:
        made = rules.revoke_token(token, call.now, call.principal.actor)
        try:
            await call.context.announce(*made)
        except Conflict as late:
            if late.kind != "missing":
                raise
            call.context[AuthState].on_commit(made)  # revoked by another process, and remembered here until now
    return Answer(status=204)


def is_live(token: TokenRow, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


OPERATIONS = (
    Operation(
        name="list_tokens", method="GET", path="/v2/tokens", handler=list_tokens, tag="Tokens",
        summary="Your own tokens; for administrators everybody's", action="token.manage_own", query=TokensQuery,
        answers={200: list[Token]}, headers=("Link",),
    ),
    Operation(
        name="create_token", method="POST", path="/v2/tokens", handler=create_token, tag="Tokens",
        summary="Make a token; it is shown once", action="token.create", body=NewToken,
        answers={201: CreatedToken}, refusals=(409,), example={"name": "laporan malam", "expires_in_days": 90},
        description="It may do what you may do, at the time it is used, but nothing that would outlive it. A new "
        "password or role of yours ends it.",
    ),
    Operation(
        name="revoke_token", method="DELETE", path="/v2/tokens/{token_id}", handler=revoke_token, tag="Tokens",
        summary="Revoke a token for good; administrators anybody's", action="token.manage_own", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
