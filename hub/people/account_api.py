"""/auth: sign in for a token, sign out, see and edit one's own account."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from db.queries import users
from hub.model import views
from hub.people import rules
from hub.people.users_api import check_zone, checked_hash
from hub.web.api import endpoint
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth import sign_in as signing_in
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Email, Instant, Language, Password, Theme, Title, Zone


class Account(msgspec.Struct):
    """Who the credential belongs to. `machines` is null for everybody who reaches all of them, `timezone` for whoever
    reads times where the machine stands."""

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
    email: Email
    password: Password


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
        signed = await signing_in.by_password(call.context, call.request, wanted.email, wanted.password)
    except signing_in.SignInRefused as refused:
        raise _refused(refused) from refused
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
        await _prove(call, user, patch.current_password)
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


async def _prove(call: Call, user: users.UserWithMachines, current: str | None) -> None:
    """So that nobody at an open browser changes the password."""
    if user.password_hash is None:
        return
    try:
        await signing_in.prove(call.context, call.request, user.email, current or "")
    except signing_in.SignInRefused as refused:
        if refused.retry_after is not None:
            raise _refused(refused) from refused
        raise one_wrong("current_password", "current_password_wrong") from refused


def _refused(refused: signing_in.SignInRefused) -> Problem:
    if refused.retry_after is not None:
        sentence = Text(f"sign_in.{refused.code}", {"count": int(refused.retry_after)})
        return Problem("too-many-requests", sentence, retry_after=refused.retry_after)
    return Problem("not-authenticated", Text("sign_in.wrong"), headers=endpoint.CHALLENGE)


OPERATIONS = (
    Operation(
        name="sign_in", method="POST", path="/v2/auth/login", handler=sign_in_for_token, tag="Sign-in",
        summary="Exchange email and password for a token", action=None, body=Credentials,
        answers={200: LoginToken}, refusals=(401, 429),
        example={"email": "admin@example.com", "password": rules.EXAMPLE_PASSWORD},
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
)  # fmt: skip
