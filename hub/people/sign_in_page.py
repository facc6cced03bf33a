"""Signing in by password or by a one-time link, signing out, and one's own account."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from db import tokens, users
from hub.model import views
from hub.people import sign_in_api as account
from hub.people.rules import sign_in
from hub.web.auth import identify
from hub.web.auth import sign_in as signing_in
from hub.web.auth.sign_in import SignedIn, SignInRefused
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, local, remember

MAX_TEXT = 600


async def show_login(visit: Visit) -> Response:
    if visit.principal is not None:
        return go(visit.request.query_params.get("next", "/"))
    said = visit.reader.t("login.out") if visit.request.query_params.get("said") == "out" else None
    return _login(visit, said=said)


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
    """The whole link or only its secret; the page's script posts what stands behind the # of its address."""
    secret = visit.form.get("link", "")[:MAX_TEXT].strip().rpartition("#")[2]
    try:
        signed = await signing_in.by_link(visit.context, visit.request, secret)
    except SignInRefused as refused:
        return visit.render("signin.html", _status(refused), fault=fault(visit, refused))
    return await _welcome(visit, signed, "/")


async def logout(visit: Visit) -> Response:
    if visit.principal is not None:
        await signing_in.sign_out(visit.context, visit.request, visit.principal)
    gone = go("/login?said=out")
    identify.clear_session_cookie(gone, visit.context.settings)
    return gone


async def to_login(visit: Visit) -> Response:
    """GET /logout changes nothing: a link somebody else planted must not sign anybody out."""
    return go("/account" if visit.principal else "/login")


async def preferences(visit: Visit) -> Response:
    """Language and theme: kept with the user, and in this browser for the pages before sign-in."""
    chosen = {name: visit.form[name] for name in ("language", "theme") if visit.form.get(name)}
    if visit.principal is not None and chosen:
        await account.edit_account(visit.call(validate(account.AccountPatch, chosen)))
    answer = go(visit.form.get("back", "/"))
    remember(answer, visit.context.settings, language=chosen.get("language"), theme=chosen.get("theme"))
    return answer


async def show_account(visit: Visit) -> Response:
    done = visit.request.query_params.get("said") == "password"
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
        weak = sign_in.password_fault(wanted["password"], visit.user.email or "")
        said = visit.say(refused) if weak is None else t(f"password.{weak}", n=limit_of(weak))
        return await _account(visit, ("bad", said), refused.status)
    done = go("/account?said=password")
    if answer.session is not None:
        identify.set_session_cookie(done, visit.context.settings, answer.session)
    return done


def limit_of(weak: str) -> int:
    return sign_in.MAX_PASSWORD if weak == "long" else sign_in.MIN_PASSWORD


def fault(visit: Visit, refused: SignInRefused) -> str:
    """One sentence, with the seconds where waiting helps; never which of the two was wrong."""
    r = visit.reader
    if refused.retry_after is not None:
        return r.t("login.locked", age=r.span(refused.retry_after + 0.999))
    return r.t("link.wrong" if refused.code == "link" else "login.wrong")


def _status(refused: SignInRefused) -> int:
    return 401 if refused.retry_after is None else 429


async def _welcome(visit: Visit, signed: SignedIn, then: str | None) -> Response:
    """On to where they wanted; by way of their tokens when some were made for them since they were here last."""
    made = await tokens.tokens_made_since(visit.context.store, signed.user_id, signed.last_at, visit.now)
    told = {"since": views.epoch_ms(signed.last_at), "next": local(then)}
    answer = go(f"/admin/tokens?{urlencode(told)}" if made else local(then))
    identify.set_session_cookie(answer, visit.context.settings, signed.secret)
    return answer


def _login(
    visit: Visit, *, email: str = "", fault: str | None = None, said: str | None = None, status: int = 200
) -> Response:
    place = local(visit.form.get("next") or visit.request.query_params.get("next"))
    return visit.render("login.html", status, email=email, fault=fault, said=said, next=place)


async def _account(visit: Visit, said: tuple[str, str] | None, status: int = 200) -> Response:
    user = await users.find_user(visit.context.store, visit.user.id)
    return visit.render(
        "account.html",
        status,
        said=said,
        has_password=user is not None and user.password_hash is not None,
        min_password=sign_in.MIN_PASSWORD,
    )
