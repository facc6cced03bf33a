"""Pages of people: sign in and out, and tokens; forms over the operations of the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from db.queries import credentials, users
from db.records import TokenRow
from hub.model import views
from hub.model.actors import row_id, whole_number
from hub.people import tokens_api
from hub.web.auth import identify
from hub.web.auth import sign_in as signing_in
from hub.web.auth.sign_in import SignedIn, SignInRefused
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.fresh_secrets import FreshSecrets
from hub.web.shell.page import Visit, go, local

SHOWN: Final = 200
NEW_FOR: Final = timedelta(days=7)


async def show_tokens(visit: Visit) -> Response:
    query = visit.request.query_params
    since = whole_number(query.get("since", ""), 10**14)
    notice = ("good", visit.reader.t("tokens.revoked")) if query.get("notice") == "revoked" else None
    return await _tokens(visit, notice, new=row_id(query.get("new", "")), since=since, onward=local(query.get("next")))


async def create_token(visit: Visit) -> Response:
    wanted: dict[str, Any] = {"name": visit.form.get("name", "").strip()}
    if days := visit.form.get("days", ""):
        wanted["expires_in_days"] = whole_number(days, 99_999) or 0  # refused, as 0 days are
    try:
        answer = await tokens_api.create_token(visit.call(validate(tokens_api.NewToken, wanted)))
    except Problem as refused:
        return await _tokens(visit, ("bad", visit.sentence(refused)), status=refused.status)
    visit.context[FreshSecrets].keep(visit.user, f"/admin/tokens/{answer.data['id']}", answer.data["token"])
    return go(f"/admin/tokens?new={answer.data['id']}")


async def revoke_token(visit: Visit) -> Response:
    await tokens_api.revoke_token(visit.call())
    return go("/admin/tokens?notice=revoked")


async def _tokens(
    visit: Visit,
    notice: tuple[str, str] | None,
    *,
    new: int | None = None,
    since: int | None = None,
    onward: str = "/",
    status: int = 200,
) -> Response:
    """`new`: just made. `since`: show those made since; goes on to `onward`."""
    store, now = visit.context.store, visit.now
    own = [row for row in await credentials.tokens_of(store, visit.user.id) if tokens_api.is_live(row, now)]
    made = next((row for row in own if row.id == new), None)
    text = None if made is None else visit.context[FreshSecrets].find(visit.user, f"/admin/tokens/{made.id}")
    others: list[dict[str, Any]] = []
    older = None
    if visit.may("token.manage_all"):
        before = row_id(visit.request.query_params.get("before", ""))
        found = await credentials.valid_tokens(store, now, SHOWN + 1, before)
        page = found[:SHOWN]
        older = page[-1].id if len(found) > len(page) else None
        names = {user.id: user.name for user in await users.all_users(store)}
        others = [
            _token(row, now) | {"owner": names.get(row.user_id, "")} for row in page if row.user_id != visit.user.id
        ]
    return visit.render(
        "tokens.html", status, tokens=[_token(row, now) for row in own], others=others,
        sees_all=visit.may("token.manage_all"), older=older,
        made_since=[] if since is None else [row.name for row in own if views.epoch_ms(row.created_at) > since],
        onward=onward, notice=notice,
        secret=None if made is None or text is None else {"name": made.name, "text": text},
    )  # fmt: skip


def _token(row: TokenRow, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "prefix": row.prefix, "made": views.epoch_ms(row.created_at),
        "is_new": now - row.created_at < NEW_FOR,
        "last_used": None if row.last_used_at is None else views.epoch_ms(row.last_used_at),
        "last_ip": row.last_used_ip, "expires": None if row.expires_at is None else views.epoch_ms(row.expires_at),
    }  # fmt: skip


MAX_TEXT = 600


async def show_login(visit: Visit) -> Response:
    if visit.principal is not None:
        return go(visit.request.query_params.get("next", "/"))
    notice = visit.reader.t("login.out") if visit.request.query_params.get("notice") == "out" else None
    return _login(visit, notice=notice)


async def login(visit: Visit) -> Response:
    email = visit.form.get("email", "")[:200]
    try:
        signed = await signing_in.by_password(visit.context, visit.request, email, visit.form.get("password", "")[:200])
    except SignInRefused as refused:
        return _login(visit, email=email, fault=fault(visit, refused), status=_status(refused))
    return await _welcome(visit, signed, visit.form.get("next"))


async def show_link(visit: Visit) -> Response:
    return visit.render("signin.html", fault=None)


async def use_link(visit: Visit) -> Response:
    """The whole link or its secret."""
    secret = visit.form.get("link", "")[:MAX_TEXT].strip().rpartition("#")[2]
    try:
        signed = await signing_in.by_link(visit.context, visit.request, secret, visit.reader.language)
    except SignInRefused as refused:
        return visit.render("signin.html", _status(refused), fault=fault(visit, refused))
    return await _welcome(visit, signed, "/")


async def logout(visit: Visit) -> Response:
    if visit.principal is not None:
        await signing_in.sign_out(visit.context, visit.request, visit.principal)
    gone = go("/login?notice=out")
    identify.clear_session_cookie(gone, visit.context.settings)
    return gone


async def to_login(visit: Visit) -> Response:
    """GET changes nothing: a planted link must not sign anybody out."""
    return go("/account" if visit.principal else "/login")


def fault(visit: Visit, refused: SignInRefused) -> str:
    r = visit.reader
    if refused.retry_after is not None:
        key = "login.locked" if refused.code == "locked" else "login.slow"
        return r.t(key, age=r.span(refused.retry_after + 0.999))
    return r.t("link.wrong" if refused.code == "link" else "login.wrong")


def _status(refused: SignInRefused) -> int:
    return 401 if refused.retry_after is None else 429


async def _welcome(visit: Visit, signed: SignedIn, then: str | None) -> Response:
    """By way of their tokens when some were made since."""
    made = await credentials.tokens_made_since(visit.context.store, signed.user_id, signed.last_at, visit.now)
    told = {"since": views.epoch_ms(signed.last_at), "next": local(then)}
    answer = go(f"/admin/tokens?{urlencode(told)}" if made else local(then))
    identify.set_session_cookie(answer, visit.context.settings, signed.secret)
    return answer


def _login(
    visit: Visit, *, email: str = "", fault: str | None = None, notice: str | None = None, status: int = 200
) -> Response:
    place = local(visit.form.get("next") or visit.request.query_params.get("next"))
    return visit.render("login.html", status, email=email, fault=fault, notice=notice, next=place)
