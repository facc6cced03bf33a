"""/auth and /tokens: signing in and out, one's own account; where people are signed in; tokens for scripts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from db.errors import Conflict
from db.queries import credentials, users
from db.queries.users import UserWithMachines
from db.records import SessionRow, TokenRow
from hub.model import credentials as secrets
from hub.model import views
from hub.model.access import is_above, may
from hub.model.actors import row_id
from hub.model.changes import put_rows
from hub.model.machine import tags_of
from hub.people import rules
from hub.people.two_step.rules import Proof
from hub.people.users_api import Machines, Sites, check_zone, checked_hash, machines_named, named
from hub.web.api import endpoint, headers
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.auth import sign_in as signing_in
from hub.web.auth.state import AuthState
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import (
    Email,
    Instant,
    Language,
    Limit,
    Password,
    Row,
    SignInCode,
    TagsOfUser,
    Theme,
    Title,
    UserRole,
    Zone,
)


class Account(msgspec.Struct):
    """`machines` null: all of them; `timezone` null: times are read where the machine stands."""

    kind: Literal["user", "machine"]
    id: int
    name: str
    email: str | None
    role: Literal["admin", "operator", "technician", "viewer", "machine"]
    machines: list[int] | None
    via: Literal["session", "login", "token", "key"]
    language: Language | None
    theme: Theme | None
    timezone: str | None


class LoginToken(msgspec.Struct):
    """`token` goes into the Authorization header. It ends after 12 idle hours, after 7 days, and at sign-out."""

    token: str
    token_type: Literal["Bearer"]
    expires_at: Instant
    user: Account


class Credentials(msgspec.Struct):
    """`code`: of who signs in with two steps, their app's or a recovery code."""

    email: Email
    password: Password
    code: SignInCode = ""


class AccountPatch(msgspec.Struct):
    """A new `password` needs the `current_password`, if there is one. It ends every session but this one, which gets
    a new token (in `data.token`, or as a new cookie)."""

    name: Title | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType | None = msgspec.UNSET
    theme: Theme | msgspec.UnsetType | None = msgspec.UNSET
    timezone: Zone | msgspec.UnsetType | None = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET
    current_password: Password | None = None


class EditedAccount(Account):
    """`token`: the session's new one, after a new password."""

    token: str | None


async def sign_in_for_token(call: Call) -> Answer:
    wanted: Credentials = call.body
    try:
        signed = await signing_in.by_password(call.context, call.request, wanted.email, wanted.password, wanted.code)
    except signing_in.SignInRefused as refused:
        raise _refused(refused) from refused
    if isinstance(signed, signing_in.SecondStepWanted):
        raise _refused(signing_in.SignInRefused("code_wanted"))
    user = await users.find_user(call.context.store, signed.user_id)
    if user is None:
        raise not_found()
    reached = sorted(user.machines) if user.role == "technician" else None
    data = {
        "token": signed.secret,
        "token_type": "Bearer",
        "expires_at": views.rfc3339(call.context.clock() + timedelta(seconds=rules.IDLE_S)),
        "user": views.answer(Account, user, kind="user", machines=reached, via="login"),
    }
    return Answer(data)


async def sign_out(call: Call) -> Answer:
    if call.principal.via == "token":
        raise Problem("conflict", Text("token_signs_not_out"))
    await signing_in.sign_out(call.context, call.request, call.principal)
    return Answer(None, message=Text("signed_out"))


async def show_account(call: Call) -> Answer:
    return Answer(views.answer(Account, call.principal))


async def edit_account(call: Call) -> Answer:
    patch: AccountPatch = call.body
    user = await users.find_user(call.context.store, call.principal.id)
    if user is None:
        raise not_found()
    check_zone(patch.timezone)
    named = {name: getattr(patch, name) for name in ("name", "language", "theme", "timezone")}
    values = {name: value for name, value in named.items() if value is not msgspec.UNSET}
    if patch.password is not msgspec.UNSET:
        if not call.principal.is_signed_in:
            # A token is lent to programs and revoked; a password it could set would outlive it.
            raise Problem("forbidden", Text("token_sets_no_password"))
        if user.password_hash is not None:
            await prove(call, user, patch.current_password)
        values["password_hash"] = await checked_hash(call, patch.password, user.email)
    made = rules.edit_user(user, user.machines, values, None, call.now, call.principal.actor)
    token = None
    if "password_hash" in values:
        agent = call.request.headers.get("user-agent")
        token, opened = rules.open_session(user.id, call.now, address=call.address, user_agent=agent)
        made.append(opened)
    if made:
        await call.announce(*made)
    shown = views.answer(Account, call.principal) | {k: v for k, v in values.items() if k != "password_hash"}
    by_cookie = call.principal.via == "session"
    shown["token"] = token.text if token is not None and not by_cookie else None
    return Answer(shown, session=token.text if token is not None and by_cookie else None)


async def prove(call: Call, user: UserWithMachines, current: str | None, code: str | None = None) -> Proof:
    """So that nobody at an open browser changes the password, or the second step. Raises the 422 or 429."""
    try:
        return await signing_in.prove(call.context, call.request, user, current or "", code)
    except signing_in.SignInRefused as refused:
        if refused.retry_after is not None:
            raise _refused(refused) from refused
        if refused.code == "wrong":
            raise one_wrong("current_password", "current_password_wrong") from refused
        raise one_wrong("code", f"sign_in.{refused.code}") from refused


def _refused(refused: signing_in.SignInRefused) -> Problem:
    if refused.retry_after is not None:
        sentence = Text(f"sign_in.{refused.code}", {"count": int(refused.retry_after)})
        return Problem("too-many-requests", sentence, retry_after=refused.retry_after)
    return Problem("not-authenticated", Text(f"sign_in.{refused.code}"), headers=endpoint.CHALLENGE)


@of_record(SessionRow, without=("user_id", "hash"))
class SignInSession(msgspec.Struct):
    """`ip` and `user_agent`: of the sign-in; `last_used_at`: noted every five minutes; `current`: the one that asks."""

    current: bool


async def sessions_of(call: Call, user: UserWithMachines) -> list[SignInSession]:
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    here = call.principal.credential_id if call.principal.is_signed_in else 0
    return [msgspec.convert(views.answer(SignInSession, row, current=row.id == here), SignInSession) for row in rows]


async def list_sessions(call: Call) -> Answer:
    return Answer(await sessions_of(call, await _whose(call)))


async def end_session(call: Call) -> Answer:
    user = await _whose(call)
    session_id = row_id(call.request.path_params["session_id"])
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    session = next((row for row in rows if row.id == session_id), None)
    if session is None:
        raise not_found()
    await call.announce(*rules.end_session(session, user.email, call.now, call.principal.actor))
    return Answer(status=204)


async def end_sessions(call: Call) -> Answer:
    user = await _whose(call)
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    await call.announce(*rules.sign_out_everywhere(user.id, user.email, len(rows), call.now, call.principal.actor))
    return Answer(status=204, message=Text("signed_out"))


async def _whose(call: Call) -> UserWithMachines:
    """The user of the path; one's own where it names none."""
    if "user_id" in call.request.path_params:
        return await named(call)
    user = await users.find_user(call.context.store, call.principal.id)
    if user is None:
        raise not_found()
    return user


MAX_LIVE = 50
"""Of one user, neither revoked nor expired."""


@of_record(TokenRow, without=("hash",))
class Token(msgspec.Struct):
    """`prefix` is how its owner recognises it. `role` null: its owner's; `machines` (ids) and `tags` both null: all
    machines of its owner, otherwise these alone, as long as they are its owner's."""


class CreatedToken(Token):
    """`token` is shown here and never again."""

    token: str


class NewToken(msgspec.Struct):
    """Without `expires_in_days` it lives until it is revoked. `role`: yours, or one below it. `machines`, `sites`
    (those there now) and `tags` (those that have one of them, now or later) together: of your machines it reaches
    these alone. Without the three all of them."""

    name: Title
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    role: UserRole | None = None
    machines: Machines | None = None
    sites: Sites | None = None
    tags: TagsOfUser | None = None


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
        return Answer([views.answer(Token, token) for token in await credentials.tokens_of(store, own)])
    endpoint.permit(call.principal, "token.manage_all")
    if query.user != "all":
        return Answer([views.answer(Token, token) for token in await credentials.tokens_of(store, query.user)])
    found = await credentials.valid_tokens(store, call.now, query.limit + 1, query.before)
    page = found[: query.limit]
    following = headers.next_page(call.request, before=page[-1].id if len(found) > len(page) else None)
    return Answer([views.answer(Token, token) for token in page], headers=following)


async def create_token(call: Call) -> Answer:
    wanted: NewToken = call.body
    secret = secrets.new_secret("token")
    days = wanted.expires_in_days
    expires_at = None if days is None else call.now + timedelta(days=days)
    scope, actor = _scope(call, wanted), call.principal.actor
    made = rules.create_token(call.principal.id, wanted.name, secret, expires_at, call.now, actor, scope)
    async with call.context.counting:
        own = await credentials.tokens_of(call.context.store, call.principal.id)
        if sum(is_live(token, call.now) for token in own) >= MAX_LIVE:
            raise Problem("conflict", Text("too_many_tokens", {"most": MAX_LIVE}))
        stored = await call.announce(*made)
    created = next(put_rows(stored, TokenRow))
    return Answer(views.answer(CreatedToken, created, token=secret.text), 201, Text("token_created"))


def _scope(call: Call, wanted: NewToken) -> rules.TokenScope:
    """An empty list is an oversight: it would be taken for all."""
    if wanted.role is not None and is_above(wanted.role, call.principal.role):
        raise one_wrong("role", "role_above_yours", role=Text(f"role.{call.principal.role}"))
    if wanted.machines is None and wanted.sites is None and wanted.tags is None:
        return rules.TokenScope(wanted.role)
    machines, tags = machines_named(call, wanted.machines or (), wanted.sites or ()), tags_of(wanted.tags or ())
    if not machines and not tags:
        raise one_wrong("machines", "no_machine_chosen")
    return rules.TokenScope(wanted.role, tuple(sorted(machines)), tuple(tags))


async def revoke_token(call: Call) -> Answer:
    token_id = row_id(call.request.path_params["token_id"])
    token = None if token_id is None else await credentials.find_token(call.context.store, token_id)
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


_OWN = "/v2/auth/sessions"
_OF_USER = "/v2/users/{user_id}/sessions"

OPERATIONS = (
    Operation(
        name="sign_in", method="POST", path="/v2/auth/login", handler=sign_in_for_token, tag="Sign-in",
        summary="Exchange email and password for a token", action=None, body=Credentials,
        answers={200: LoginToken}, refusals=(401, 429),
        example={"email": "admin@example.com", "password": secrets.EXAMPLE_PASSWORD},
        description="Five failures lock the account for 30 minutes; networks it was signed in to from have five tries "
        "of their own. Twenty wrong ones a minute from one address.",
    ),
    Operation(
        name="sign_out", method="POST", path="/v2/auth/logout", handler=sign_out, tag="Sign-in",
        summary="End the session of this token or cookie", action="account.sign_out", answers={200: None},
        refusals=(409,),
    ),
    Operation(
        name="show_account", method="GET", path="/v2/auth/me", handler=show_account, tag="Sign-in",
        summary="Whose credential this is", action="account.read", answers={200: Account},
    ),
    Operation(
        name="edit_account", method="PATCH", path="/v2/auth/me", handler=edit_account, tag="Sign-in",
        summary="Change one's own name, language, theme, time zone or password", action="account.edit",
        body=AccountPatch, answers={200: EditedAccount}, refusals=(429,), example={"language": "id"},
    ),
    Operation(
        name="list_own_sessions", method="GET", path=_OWN, handler=list_sessions, tag="Sign-in",
        summary="Where you are signed in", action="session.manage_own", answers={200: list[SignInSession]},
    ),
    Operation(
        name="sign_out_everywhere", method="DELETE", path=_OWN, handler=end_sessions, tag="Sign-in",
        summary="End every session of yours, this one too", action="session.manage_own", answers={204: None},
        description="Tokens stay: they are revoked one by one, or all by a new password.",
    ),
    Operation(
        name="end_own_session", method="DELETE", path=f"{_OWN}/{{session_id}}", handler=end_session, tag="Sign-in",
        summary="End one session of yours", action="session.manage_own", answers={204: None}, refusals=(404,),
    ),
    Operation(
        name="list_user_sessions", method="GET", path=_OF_USER, handler=list_sessions, tag="Users",
        summary="Where a user is signed in", action="session.manage_all", answers={200: list[SignInSession]},
        refusals=(404,),
    ),
    Operation(
        name="end_user_sessions", method="DELETE", path=_OF_USER, handler=end_sessions, tag="Users",
        summary="End every session of a user", action="session.manage_all", answers={204: None}, refusals=(404,),
    ),
    Operation(
        name="end_user_session", method="DELETE", path=f"{_OF_USER}/{{session_id}}", handler=end_session,
        tag="Users", summary="End one session of a user", action="session.manage_all", answers={204: None},
        refusals=(404,),
    ),
    Operation(
        name="list_tokens", method="GET", path="/v2/tokens", handler=list_tokens, tag="Tokens",
        summary="Your own tokens; for administrators everybody's", action="token.manage_own", query=TokensQuery,
        answers={200: list[Token]}, headers=("Link",),
    ),
    Operation(
        name="create_token", method="POST", path="/v2/tokens", handler=create_token, tag="Tokens",
        summary="Make a token; it is shown once", action="token.create", body=NewToken,
        answers={201: CreatedToken}, refusals=(409,),
        example={"name": "laporan malam", "expires_in_days": 90, "role": "viewer"},
        description="It may do what you may do, at the time it is used, but nothing that would outlive it; with `role` "
        "or machines less, and then nothing with your account. A new password or role of yours ends it.",
    ),
    Operation(
        name="revoke_token", method="DELETE", path="/v2/tokens/{token_id}", handler=revoke_token, tag="Tokens",
        summary="Revoke a token for good; administrators anybody's", action="token.manage_own", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
