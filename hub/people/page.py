"""Pages of people: sign in and out, own account, users and tokens, by the operations of the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from db.errors import Conflict
from db.queries import credentials, users
from db.records import TokenRow
from hub.model import views
from hub.model.actors import row_id, whole_number
from hub.model.changes import EventHappened, Put
from hub.people import account_api as account
from hub.people import rules, tokens_api, users_api
from hub.web.auth import identify
from hub.web.auth import sign_in as signing_in
from hub.web.auth.sign_in import SignedIn, SignInRefused
from hub.web.http.problems import Problem, not_found
from hub.web.http.validation import validate
from hub.web.shell.fresh_secrets import FreshSecrets
from hub.web.shell.page import Visit, base_url, go, local, remember

SHOWN: Final = 200
NEW_FOR: Final = timedelta(days=7)


async def show_users(visit: Visit) -> Response:
    query = visit.request.query_params
    notice = ("good", visit.reader.t("users.saved")) if query.get("notice") == "saved" else None
    return await _users(visit, notice, link_of=row_id(query.get("link", "")))


async def add_user(visit: Visit) -> Response:
    wanted = {name: visit.form.get(name, "").strip() for name in ("name", "email", "role")}
    try:
        answer = await users_api.add_user(visit.call(validate(users_api.NewUser, wanted)))
    except Problem as refused:
        return await _users(visit, ("bad", visit.sentence(refused)), status=refused.status)
    except Conflict:
        return await _users(visit, ("bad", visit.reader.t("fault.email_taken")), status=409)
    return _to_link(visit, answer.data["id"], answer.data["sign_in_link"])


async def make_link(visit: Visit) -> Response:
    """The event does not name the secret."""
    user = await _user(visit)
    secret, made = rules.make_link(user.id, visit.now)
    event = EventHappened(
        at=visit.now, code="user.edited", actor=visit.user.actor, params={"user_id": user.id, "link": True}
    )
    await visit.call().announce(Put(made), event)
    return _to_link(visit, user.id, f"/signin#{secret.text}")


def _to_link(visit: Visit, user_id: int, path: str) -> Response:
    """Where a reload shows it again."""
    visit.context[FreshSecrets].keep(visit.user, _link_place(user_id), base_url(visit) + path)
    return go(f"/admin/users?link={user_id}")


def _link_place(user_id: int) -> str:
    return f"/admin/users/{user_id}/link"


async def set_disabled(visit: Visit) -> Response:
    what = visit.request.path_params["what"]
    if what not in ("disable", "enable"):
        raise not_found()
    disabled = what == "disable"
    try:
        await users_api.edit_user(visit.call(users_api.UserPatch(disabled=disabled)))
    except Problem as refused:
        return await _users(visit, ("bad", visit.sentence(refused)), status=refused.status)
    return go("/admin/users?notice=saved")


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


async def _user(visit: Visit) -> users.UserWithMachines:
    user_id = row_id(visit.request.path_params["user_id"])
    user = None if user_id is None else await users.find_user(visit.context.store, user_id)
    if user is None:
        raise not_found()
    return user


async def _users(
    visit: Visit, notice: tuple[str, str] | None, *, link_of: int | None = None, status: int = 200
) -> Response:
    everybody = await users.all_users(visit.context.store)
    url = None if link_of is None else visit.context[FreshSecrets].find(visit.user, _link_place(link_of))
    names = {user.id: user.name for user in everybody}
    link = None if url is None or link_of is None else {"name": names.get(link_of, ""), "url": url}
    listed = [
        {
            "id": user.id, "name": user.name, "email": user.email, "role": user.role,
            "disabled": user.disabled_at is not None,
            "last_sign_in": None if user.last_sign_in_at is None else views.epoch_ms(user.last_sign_in_at),
        }
        for user in everybody
    ]  # fmt: skip
    return visit.render("users.html", status, users=listed, notice=notice, link=link)


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
        signed = await signing_in.by_link(visit.context, visit.request, secret)
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


async def preferences(visit: Visit) -> Response:
    """With the user, and in this browser before sign-in."""
    chosen = {name: visit.form[name] for name in ("language", "theme") if visit.form.get(name)}
    if visit.principal is not None and chosen:
        await account.edit_account(visit.call(validate(account.AccountPatch, chosen)))
    answer = go(visit.form.get("back", "/"))
    remember(answer, visit.context.settings, language=chosen.get("language"), theme=chosen.get("theme"))
    return answer


async def show_account(visit: Visit) -> Response:
    done = visit.request.query_params.get("notice") == "password"
    return await _account(visit, ("good", visit.reader.t("password.done")) if done else None)


async def set_password(visit: Visit) -> Response:
    wanted: dict[str, Any] = {"password": visit.form.get("password", "")}
    if visit.form.get("current"):
        wanted["current_password"] = visit.form["current"]
    t = visit.reader.t
    try:
        answer = await account.edit_account(visit.call(validate(account.AccountPatch, wanted)))
    except Problem as refused:
        wrong = refused.errors or {}
        if "current_password" in wrong:
            return await _account(visit, ("bad", t("password.wrong")), refused.status)
        weak = rules.password_fault(wanted["password"], visit.user.email or "")
        notice = (
            visit.sentence(refused)
            if weak is None
            else t(f"password.{weak}", n=rules.MAX_PASSWORD if weak == "long" else rules.MIN_PASSWORD)
        )
        return await _account(visit, ("bad", notice), refused.status)
    done = go("/account?notice=password")
    if answer.session is not None:
        identify.set_session_cookie(done, visit.context.settings, answer.session)
    return done


def fault(visit: Visit, refused: SignInRefused) -> str:
    r = visit.reader
    if refused.retry_after is not None:
        return r.t("login.locked", age=r.span(refused.retry_after + 0.999))
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


async def _account(visit: Visit, notice: tuple[str, str] | None, status: int = 200) -> Response:
    user = await users.find_user(visit.context.store, visit.user.id)
    return visit.render(
        "account.html", status, notice=notice, has_password=user is not None and user.password_hash is not None,
        min_password=rules.MIN_PASSWORD,
    )  # fmt: skip
