"""`/account`: one's own name, language, zone, password and sessions; and what the page of any person shows alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from dashboard.user_agents import device
from db.queries import credentials, users
from db.queries.users import UserWithMachines
from hub.model.views import epoch_ms
from hub.people import account_api as account
from hub.people import rules, sessions_api
from hub.web.api.operation import Answer, Call
from hub.web.auth import identify
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, remember

UTC: Final = "UTC"


@dataclass(frozen=True, slots=True)
class ShownSession:
    """Instants in epoch ms; `used`: about when it was used last."""

    id: int
    device: str
    ip: str
    since: int
    used: int
    current: bool


async def shown_sessions(visit: Visit, user: UserWithMachines) -> list[ShownSession]:
    rows = await credentials.sessions_of(visit.context.store, user.id, visit.now)
    here = visit.user.credential_id
    return [
        ShownSession(
            row.id, device(visit.reader, row.user_agent), row.ip or "", epoch_ms(row.created_at),
            visit.reader.now if row.id == here else epoch_ms(row.last_used_at or row.created_at), row.id == here,
        )
        for row in rows
    ]  # fmt: skip


Ending = Callable[[Call], Awaitable[Answer]]


async def end_one_or_all(visit: Visit, one: Ending, every: Ending) -> bool:
    """By the form's `session`: an id, or `all`. Returns whether all were."""
    chosen = visit.form.get("session", "")
    if chosen == "all":
        await every(visit.call())
        return True
    visit.request.path_params["session_id"] = chosen
    try:
        await one(visit.call())
    except Problem as gone:
        if gone.kind != "not-found":  # ended already
            raise
    return False


def zone_given(form: Mapping[str, str]) -> str | None:
    """Of the radio `zone` (site, utc or own) and the field beside it."""
    chosen = form.get("zone", "site")
    if chosen == "own":
        return form.get("timezone", "").strip()
    return UTC if chosen == "utc" else None


def zone_shown(stored: str | None) -> dict[str, str]:
    """The same two, of what is stored."""
    if stored is None:
        return {"zone": "site", "timezone": ""}
    return {"zone": "utc", "timezone": ""} if stored == UTC else {"zone": "own", "timezone": stored}


async def show_account(visit: Visit) -> Response:
    notice = visit.request.query_params.get("notice")
    said = {"password": "password.done", "saved": "users.saved", "ended": "users.ended"}
    return await _account(visit, ("good", visit.reader.t(said[notice])) if notice in said else None)


async def save_account(visit: Visit) -> Response:
    """Name and zone."""
    wanted: dict[str, Any] = {"timezone": zone_given(visit.form)} if "zone" in visit.form else {}
    if "name" in visit.form:
        wanted["name"] = visit.form["name"].strip()
    try:
        await account.edit_account(visit.call(validate(account.AccountPatch, wanted)))
    except Problem as refused:
        return await _account(visit, ("bad", visit.sentence(refused)), refused.status, typed=True)
    return go("/account?notice=saved")


async def end_sessions(visit: Visit) -> Response:
    """One's own: one, which may be this one, or everywhere."""
    this = visit.form.get("session") == str(visit.user.credential_id)
    every = await end_one_or_all(visit, sessions_api.end_own_session, sessions_api.sign_out_everywhere)
    if not (every or this):
        return go("/account?notice=ended")
    gone = go("/login?notice=out")
    identify.clear_session_cookie(gone, visit.context.settings)
    return gone


async def preferences(visit: Visit) -> Response:
    """Kept with the user, and in this browser for the pages before sign-in."""
    chosen = {name: visit.form[name] for name in ("language", "theme") if visit.form.get(name)}
    if visit.principal is not None and chosen:
        await account.edit_account(visit.call(validate(account.AccountPatch, chosen)))
    answer = go(visit.form.get("back", "/"))
    remember(answer, visit.context.settings, language=chosen.get("language"), theme=chosen.get("theme"))
    return answer


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


async def _account(visit: Visit, notice: tuple[str, str] | None, status: int = 200, *, typed: bool = False) -> Response:
    user = await users.find_user(visit.context.store, visit.user.id)
    given = {"name": visit.user.name, **zone_shown(visit.user.timezone)}
    if typed:
        given = {name: visit.form.get(name, value) for name, value in given.items()}
    return visit.render(
        "account.html", status, notice=notice, has_password=user is not None and user.password_hash is not None,
        min_password=rules.MIN_PASSWORD, given=given,
        sessions=[] if user is None else await shown_sessions(visit, user),
    )  # fmt: skip
