"""Pages of two steps: the code at sign-in; on, off and recovery codes at Account; the reset by an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from dashboard.qr import TextTooLongError, drawing_of
from db.queries import credentials as stored
from hub.model import views
from hub.people.page import MAX_TEXT, refused_status, sentence_of, welcome
from hub.people.two_step import api, rules
from hub.web.auth import identify
from hub.web.auth import sign_in as signing_in
from hub.web.auth.sign_in import SignInRefused
from hub.web.auth.state import SecondSteps
from hub.web.http.problems import Problem, not_found
from hub.web.http.validation import validate
from hub.web.shell.fresh_secrets import FreshSecrets
from hub.web.shell.page import Visit, go, local

OVER: Final = frozenset({"expired", "link", "wrong"})
"""Codes of a refusal after which the first step is due again."""
PLACE: Final = "/account/2-step"


async def show_code(visit: Visit) -> Response:
    """Also in a browser where somebody else is signed in: a link is opened there, too."""
    half = _half(visit)
    if visit.principal is not None and visit.context[SecondSteps].find(half) is None:
        return go(visit.request.query_params.get("next", "/"))
    return _code(visit, None) if half else go("/login")


def _half(visit: Visit) -> str:
    return visit.request.cookies.get(identify.second_step_cookie_name(visit.context.settings), "")[:MAX_TEXT]


async def check_code(visit: Visit) -> Response:
    settings, half = visit.context.settings, _half(visit)
    try:
        code = visit.form.get("code", "")[:MAX_TEXT]
        signed = await signing_in.by_second_step(visit.context, visit.request, half, code)
    except SignInRefused as refused:
        if refused.code in OVER:
            answer: Response = go("/login?notice=again")
            identify.clear_second_step_cookie(answer, settings)
            return answer
        of_paper = refused.code == "code" and visit.form.get("with") == "recovery"
        fault = visit.reader.t("login.code.wrong_recovery") if of_paper else sentence_of(visit, refused)
        return _code(visit, fault, refused_status(refused))
    answer = await welcome(visit, signed, visit.form.get("next"))
    identify.clear_second_step_cookie(answer, settings)
    return answer


def _code(visit: Visit, fault: str | None, status: int = 200) -> Response:
    query = visit.request.query_params
    place = local(visit.form.get("next") or query.get("next"))
    recovery = (visit.form.get("with") or query.get("with")) == "recovery"
    other = {"next": place} | ({} if recovery else {"with": "recovery"})
    return visit.render(
        "login_code.html", status, fault=fault, next=place, recovery=recovery, other=f"/login/code?{urlencode(other)}"
    )


async def show_two_step(visit: Visit) -> Response:
    notice = visit.request.query_params.get("notice")
    known = notice in ("on", "off", "codes")
    return await _two_step(visit, ("good", visit.reader.t(f"two_step.notice.{notice}")) if known else None)


async def change_two_step(visit: Visit) -> Response:
    """By the form's `do`."""
    what, fresh = visit.form.get("do"), visit.context[FreshSecrets]
    try:
        if what == "begin":
            await api.make_secret(visit.call())
        elif what == "stored":
            fresh.drop(visit.user, api.CODES_PLACE)
        elif what == "off":
            await api.turn_off(visit.call(_proof(visit.form)))
            fresh.drop(visit.user, api.CODES_PLACE)
            return go(f"{PLACE}?notice=off")
        elif what in ("on", "codes"):
            make = api.turn_on if what == "on" else api.make_codes
            answer = await make(visit.call(_proof(visit.form)))
            fresh.keep(visit.user, api.CODES_PLACE, "\n".join(answer.data.recovery_codes))
            return go(f"{PLACE}?notice={what}")
        else:
            raise not_found()
    except Problem as refused:
        if refused.kind == "not-found":
            raise
        return await _two_step(visit, ("bad", visit.sentence(refused)), refused.status)
    return go(PLACE)


def _proof(form: Mapping[str, str]) -> api.TwoStepProof:
    wanted: dict[str, Any] = {"code": form.get("code", "")}
    if form.get("current"):
        wanted["current_password"] = form["current"]
    return validate(api.TwoStepProof, wanted)


async def _two_step(visit: Visit, notice: tuple[str, str] | None, status: int = 200) -> Response:
    user, fresh = await api.own(visit.call()), visit.context[FreshSecrets]
    row = await stored.find_two_step(visit.context.store, user.id)
    secret = fresh.find(visit.user, api.SECRET_PLACE) if row is None else None
    return visit.render(
        "two_step.html", status, notice=notice, has_password=user.password_hash is not None,
        since=None if row is None else views.epoch_ms(row.since),
        left=0 if row is None else len(await stored.recovery_codes_of(visit.context.store, user.id)),
        codes=None if row is None else fresh.find(visit.user, api.CODES_PLACE),
        most=rules.RECOVERY_CODES,
        setup=None if secret is None else _setup(secret, user.email),
    )  # fmt: skip


def _setup(secret: str, email: str) -> dict[str, Any]:
    """`side` 0: the address is too long for a code."""
    address = rules.app_address(secret, email)
    try:
        side, dark = drawing_of(address)
    except TextTooLongError:
        side, dark = 0, ""
    return {"secret": rules.grouped(secret), "address": address, "side": side, "dark": dark}


async def reset(visit: Visit) -> Response:
    await api.reset_two_step(visit.call())
    return go(f"/admin/users/{visit.request.path_params['user_id']}?notice=reset")
