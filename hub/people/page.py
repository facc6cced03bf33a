"""Pages of people: sign in and out, one's own account and sessions, by the operations of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from dashboard.foreign_text import plain
from dashboard.reader import Reader
from db.queries import credentials, users
from db.queries.users import UserWithMachines
from hub.model import credentials as secrets
from hub.model import views
from hub.model.views import epoch_ms
from hub.people import account_api
from hub.web.auth import identify
from hub.web.auth import sign_in as signing_in
from hub.web.auth.sign_in import SecondStepWanted, SignedIn, SignInRefused
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, local, remember

MAX_TEXT = 600
FAULTS: Final = {
    "wrong": "login.wrong", "link": "link.wrong", "code": "login.code.wrong", "code_wanted": "login.code.wanted",
    "code_sealed": "login.code.sealed",
}  # fmt: skip


async def show_login(visit: Visit) -> Response:
    if visit.principal is not None:
        return go(visit.request.query_params.get("next", "/"))
    notice = visit.request.query_params.get("notice")
    known = {"out": "login.out", "again": "login.again"}
    return _login(visit, notice=visit.reader.t(known[notice]) if notice in known else None)


async def login(visit: Visit) -> Response:
    email = visit.form.get("email", "")[:200]
    try:
        signed = await signing_in.by_password(visit.context, visit.request, email, visit.form.get("password", "")[:200])
    except SignInRefused as refused:
        return _login(visit, email=email, fault=sentence_of(visit, refused), status=refused_status(refused))
    return await _next_step(visit, signed, visit.form.get("next"))


async def show_link(visit: Visit) -> Response:
    return visit.render("signin.html", fault=None)


async def use_link(visit: Visit) -> Response:
    secret = visit.form.get("link", "")[:MAX_TEXT].strip().rpartition("#")[2]
    try:
        signed = await signing_in.by_link(visit.context, visit.request, secret, visit.reader.language)
    except SignInRefused as refused:
        return visit.render("signin.html", refused_status(refused), fault=sentence_of(visit, refused))
    return await _next_step(visit, signed, "/")


async def logout(visit: Visit) -> Response:
    if visit.principal is not None:
        await signing_in.sign_out(visit.context, visit.request, visit.principal)
    gone = go("/login?notice=out")
    identify.clear_session_cookie(gone, visit.context.settings)
    return gone


async def to_login(visit: Visit) -> Response:
    """GET changes nothing: a planted link must not sign anybody out."""
    return go("/account" if visit.principal else "/login")


def sentence_of(visit: Visit, refused: SignInRefused) -> str:
    r = visit.reader
    if refused.retry_after is not None:
        key = "login.locked" if refused.code == "locked" else "login.slow"
        return r.t(key, age=r.span(refused.retry_after + 0.999))
    return r.t(FAULTS[refused.code])


def refused_status(refused: SignInRefused) -> int:
    return 401 if refused.retry_after is None else 429


async def _next_step(visit: Visit, done: SignedIn | SecondStepWanted, then: str | None) -> Response:
    if isinstance(done, SignedIn):
        return await welcome(visit, done, then)
    answer = go(f"/login/code?{urlencode({'next': local(then)})}")
    identify.set_second_step_cookie(answer, visit.context.settings, done.secret)
    return answer


async def welcome(visit: Visit, signed: SignedIn, then: str | None) -> Response:
    """By way of their tokens when some were made since."""
    made = await credentials.tokens_made_since(visit.context.store, signed.user_id, signed.last_at, visit.now)
    query = {"since": views.epoch_ms(signed.last_at), "next": local(then)}
    answer = go(f"/admin/tokens?{urlencode(query)}" if made else local(then))
    identify.set_session_cookie(answer, visit.context.settings, signed.secret)
    return answer


def _login(
    visit: Visit, *, email: str = "", fault: str | None = None, notice: str | None = None, status: int = 200
) -> Response:
    place = local(visit.form.get("next") or visit.request.query_params.get("next"))
    return visit.render("login.html", status, email=email, fault=fault, notice=notice, next=place)


_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
"""In this order: Edge also calls itself Chrome, and Chrome Safari."""
MOST_OF_AGENT: Final = 40


def device(r: Reader, user_agent: str | None) -> str:
    """`Chrome on Android`; a program's own name."""
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), "")
    system = next((name for mark, name in _SYSTEMS if mark in text), "")
    if browser and system:
        return r.t("session.on", browser=browser, system=system)
    return browser or plain(text.partition(" ")[0], MOST_OF_AGENT) or r.t("session.unknown")


UTC: Final = "UTC"


@dataclass(frozen=True, slots=True)
class SessionLine:
    """Instants in epoch ms; `used`: about when it was last used."""

    id: int
    device: str
    ip: str
    since: int
    used: int
    current: bool


async def shown_sessions(visit: Visit, user: UserWithMachines) -> list[SessionLine]:
    rows = await credentials.sessions_of(visit.context.store, user.id, visit.now)
    here = visit.user.credential_id
    return [
        SessionLine(
            row.id, device(visit.reader, row.user_agent), row.ip or "", epoch_ms(row.created_at),
            visit.reader.now if row.id == here else epoch_ms(row.last_used_at or row.created_at), row.id == here,
        )
        for row in rows
    ]  # fmt: skip


async def end_one_or_all(visit: Visit) -> bool:
    """By the form's `session`: an id, or `all`; True: all."""
    chosen = visit.form.get("session", "")
    if chosen == "all":
        await account_api.end_sessions(visit.call())
        return True
    visit.request.path_params["session_id"] = chosen
    try:
        await account_api.end_session(visit.call())
    except Problem as gone:
        if gone.kind != "not-found":  # ended already
            raise
    return False


def zone_given(form: Mapping[str, str]) -> str | None:
    """Of the radio `zone` (site, utc or own) and its field."""
    chosen = form.get("zone", "site")
    if chosen == "own":
        return form.get("timezone", "").strip()
    return UTC if chosen == "utc" else None


def zone_shown(stored: str | None) -> dict[str, str]:
    if stored is None:
        return {"zone": "site", "timezone": ""}
    return {"zone": "utc", "timezone": ""} if stored == UTC else {"zone": "own", "timezone": stored}


async def show_account(visit: Visit) -> Response:
    notice = visit.request.query_params.get("notice")
    notices = {"password": "password.done", "saved": "users.saved", "ended": "users.ended"}
    return await _account(visit, ("good", visit.reader.t(notices[notice])) if notice in notices else None)


async def save_account(visit: Visit) -> Response:
    wanted: dict[str, Any] = {"timezone": zone_given(visit.form)} if "zone" in visit.form else {}
    if "name" in visit.form:
        wanted["name"] = visit.form["name"].strip()
    try:
        await account_api.edit_account(visit.call(validate(account_api.AccountPatch, wanted)))
    except Problem as refused:
        return await _account(visit, ("bad", visit.sentence(refused)), refused.status, typed=True)
    return go("/account?notice=saved")


async def end_sessions(visit: Visit) -> Response:
    """One, which may be this one, or all."""
    this = visit.form.get("session") == str(visit.user.credential_id)
    every = await end_one_or_all(visit)
    if not (every or this):
        return go("/account?notice=ended")
    gone = go("/login?notice=out")
    identify.clear_session_cookie(gone, visit.context.settings)
    return gone


async def preferences(visit: Visit) -> Response:
    """With the user, and in this browser before sign-in."""
    chosen = {name: visit.form[name] for name in ("language", "theme") if visit.form.get(name)}
    if visit.principal is not None and chosen:
        await account_api.edit_account(visit.call(validate(account_api.AccountPatch, chosen)))
    answer = go(visit.form.get("back", "/"))
    remember(answer, visit.context.settings, language=chosen.get("language"), theme=chosen.get("theme"))
    return answer


async def set_password(visit: Visit) -> Response:
    wanted: dict[str, Any] = {"password": visit.form.get("password", "")}
    if visit.form.get("current"):
        wanted["current_password"] = visit.form["current"]
    t = visit.reader.t
    try:
        answer = await account_api.edit_account(visit.call(validate(account_api.AccountPatch, wanted)))
    except Problem as refused:
        wrong = refused.errors or {}
        if "current_password" in wrong:
            return await _account(visit, ("bad", t("password.wrong")), refused.status)
        weak = secrets.password_fault(wanted["password"], visit.user.email or "")
        notice = (
            visit.sentence(refused)
            if weak is None
            else t(f"password.{weak}", n=secrets.MAX_PASSWORD if weak == "long" else secrets.MIN_PASSWORD)
        )
        return await _account(visit, ("bad", notice), refused.status)
    done = go("/account?notice=password")
    if answer.session is not None:
        identify.set_session_cookie(done, visit.context.settings, answer.session)
    return done


async def _account(visit: Visit, notice: tuple[str, str] | None, status: int = 200, *, typed: bool = False) -> Response:
    user = await users.find_user(visit.context.store, visit.user.id)
    given = {"name": visit.user.name, **zone_shown(visit.user.timezone)}
    if typed:
        given = {name: visit.form.get(name, value) for name, value in given.items()}
    return visit.render(
        "account.html", status, notice=notice, has_password=user is not None and user.password_hash is not None,
        min_password=secrets.MIN_PASSWORD, given=given,
        two_step=user is not None and user.two_step,
        sessions=[] if user is None else await shown_sessions(visit, user),
    )  # fmt: skip
