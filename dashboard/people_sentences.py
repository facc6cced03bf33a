"""Sentences of people in the audit log: their accounts, sign-ins and tokens, saved views, and what they did about
troubles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dashboard.event_reading import (
    EventReading,
    Parts,
    Sentence,
    as_chosen,
    differences,
    from_address,
    moment,
    plainly,
    unchosen,
)
from dashboard.foreign_text import plain
from dashboard.trouble import cause_name

TROUBLE_CODES: Final = tuple(
    f"trouble.{what}" for what in ("taken", "released", "snoozed", "unsnoozed", "noted", "undone")
)
OF_PERSON: Final = tuple(
    f"sign_in.{what}"
    for what in ("link_made", "unlocked", "two_step_on", "two_step_off", "two_step_reset", "recovery_codes_made")
)


def _role(e: EventReading) -> str:
    role = e.after.get("role")
    return e.r.text_of("role", plain(str(role), 40)) if role else ""


def _token_created(e: EventReading) -> Parts:
    some = e.words("token.some") if "machines" in e.after else ""
    return e.words(e.code, name=e.param("name"), prefix=e.param("prefix")), [_role(e), some]


def _user_edited(e: EventReading) -> Parts:
    if e.params.get("link"):
        return e.words("sign_in.link_made", who=e.person()), []
    if set(e.after) == {"password"}:
        return e.words("user.password", who=e.person()), []
    changes = differences(as_chosen(e), lambda name: e.r.text_of("event.member", plain(name, 60)))
    return e.words("user.edited", who=e.person()), [*changes, *unchosen(e)]


def _trouble(e: EventReading) -> Parts:
    cause, until = cause_name(e.r, e.param("cause", 40)), e.params.get("until")
    person = [e.words("trouble.person", name=e.param("person", 100))] if e.params.get("person") else []
    if e.code == "trouble.taken" and e.params.get("from"):
        return e.words("trouble.taken_over", name=e.param("from", 100), cause=cause), person
    if e.code == "trouble.released" and e.params.get("left"):
        return e.words("trouble.left", name=e.param("left", 100), cause=cause), []
    when = moment(e.r, until) if until else ""
    note = e.param("note") if e.code == "trouble.snoozed" and e.params.get("note") else ""
    return e.words(e.code, cause=cause, when=when, note=e.param("note")), [note, *person]


def _view_saved(e: EventReading) -> Parts:
    return e.words("view.saved", name=e.param("name")), [e.words("view.shared") if e.after.get("shared") else ""]


def _signed_in(e: EventReading) -> Parts:
    by = "link" if e.params.get("by") == "link" else "password"
    second = e.params.get("second")
    step = e.words(f"sign_in.second.{second}", n=e.param("left")) if second in ("app", "recovery") else ""
    return e.words(f"sign_in.succeeded.{by}"), [step, from_address(e)]


def _sign_in_failed(e: EventReading) -> Parts:
    known = e.params.get("by", "password") == "password"
    wrong = [e.words("sign_in.wrong_code" if known else "sign_in.wrong_code_alone")] if e.params.get("second") else []
    return e.words(e.code, who=e.person()), [*wrong, from_address(e), e.words("tries", n=e.param("failures"))]


SENTENCES: Final[Mapping[str, Sentence]] = {
    **dict.fromkeys(TROUBLE_CODES, _trouble),
    "user.added": lambda e: (e.words("user.added", who=e.person()), [_role(e)]),
    "user.edited": _user_edited,
    "user.removed": lambda e: (e.words("user.removed", who=e.person()), []),
    "view.saved": _view_saved,
    "view.edited": lambda e: (
        e.words("view.edited", name=e.param("name")),
        differences(e, lambda name: e.r.text_of("event.member", plain(name, 60))),
    ),
    "view.removed": plainly("name"),
    "token.created": _token_created,
    "token.revoked": plainly("name", "prefix"),
    "sign_in.succeeded": _signed_in,
    "sign_in.failed": _sign_in_failed,
    "sign_in.locked": _sign_in_failed,
    "sign_in.code_missing": lambda e: (e.words(e.code, who=e.person()), [e.words("sign_in.no_code"), from_address(e)]),
    "sign_in.signed_out": plainly(),
    "sign_in.sessions_ended": lambda e: (
        e.words(e.code, who=e.person(), n=e.param("count"), count=e.params.get("count")),
        [],
    ),
    **dict.fromkeys(OF_PERSON, lambda e: (e.words(e.code, who=e.person()), [])),
}
