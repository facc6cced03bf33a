"""Writes a notification as title and text, in the language and the zone of whoever gets it. Pure. Instants in ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dashboard.event_reading import EventReading, Parts, Sentence, differences
from dashboard.foreign_text import plain
from dashboard.reader import Reader
from dashboard.trouble import cause_name

MOST_FOREIGN: Final = 120
"""Characters of a name or a reason that somebody wrote."""
MOST_NUMBER: Final = 10**9
LOOKS: Final = {"over": "success", "approval": "info", "test": "info", "summary": "warning", "reminder": "warning"}


class Message(NamedTuple):
    """`look`: info, success, warning or failure, as apprise has it."""

    title: str
    body: str
    look: str


def message(r: Reader, kind: str, rvm_id: int | None, params: Mapping[str, Any], hub: str | None) -> Message:
    """`hub`: its address as people open it; None: nobody said it, and no link is written."""
    title, lines, place = _WRITTEN[kind](r, rvm_id, params)
    link = [] if hub is None else [f"{hub}{place}"]
    return Message(title, "\n".join([*(line for line in lines if line), *link]), LOOKS.get(kind, "failure"))


_Written = tuple[str, list[str], str]


def _cause(r: Reader, params: Mapping[str, Any]) -> str:
    cause = str(params["cause"])
    key = f"cause.{cause}"
    return r.t(key, value=r.worth(cause, params.get("value"))) if key in r.t else cause


def _name(params: Mapping[str, Any]) -> str:
    return plain(str(params["machine"]), MOST_FOREIGN)


def _next(r: Reader, key: str, device: object = "") -> str:
    return r.t("notify.next", todo=r.t(key, device=plain(str(device)))) if key in r.t else ""


def _began(r: Reader, rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    todo = _next(r, f"why.{params['cause']}.next", params.get("device", ""))
    lines = [r.t("notify.since", when=r.day(params["since"])), todo]
    return r.t("notify.began", machine=_name(params), cause=_cause(r, params)), lines, f"/machines/{rvm_id}"


def _reminder(r: Reader, rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    title, lines, place = _began(r, rvm_id, params)
    return r.t("notify.reminder", age=r.age(params["since"]), title=title), lines, place


def _outage(r: Reader, _rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    site, total = plain(str(params["site"]), MOST_FOREIGN), params["total"]
    title = r.t(
        "outage.site" if site else "outage", n=r.number(params["n"]), total=r.number(total), count=total, site=site,
        time=r.day(params["since"]),
    )  # fmt: skip
    return title, [_next(r, "outage.site.next" if site else "outage.next")], "/?connection=offline"


def _over(r: Reader, rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    age = r.span((params["until"] - params["since"]) / 1000)
    when = r.t("notify.lasted", begin=r.day(params["since"]), end=r.day(params["until"]))
    if params["of"] == "outage":
        site = plain(str(params["site"]), MOST_FOREIGN)
        key = "notify.over.outage.site" if site else "notify.over.outage"
        return r.t(key, count=params["n"], n=r.number(params["n"]), site=site, age=age), [when], "/"
    if params["cause"] in ("offline", "not_back", "shutdown", "never"):
        return r.t("notify.over.back", machine=_name(params), age=age), [when], f"/machines/{rvm_id}"
    title = r.t("notify.over", machine=_name(params), cause=_cause(r, params), age=age)
    return title, [when], f"/machines/{rvm_id}"


def _approval(r: Reader, rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    who, reason = (plain(str(params[name]), MOST_FOREIGN) for name in ("who", "reason"))
    lines = [r.t("notify.approval", who=who, reason=reason), _next(r, "why.approval.next")]
    return f"{_name(params)}: {r.t('notify.approval.title')}", lines, f"/machines/{rvm_id}/remote"


def _summary(r: Reader, _rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    names = [plain(str(name), MOST_FOREIGN) for name in params["machines"]]
    more = [r.t("notify.more", n=r.number(params["more"]))] if params["more"] else []
    lines = [r.t("notify.summary.why"), ", ".join(names + more)]
    return r.t("notify.summary", n=r.number(params["n"]), count=params["n"]), lines, "/"


def _test(r: Reader, _rvm_id: int | None, params: Mapping[str, Any]) -> _Written:
    return r.t("notify.test"), [r.t("notify.test.body", name=plain(str(params["name"]), MOST_FOREIGN))], "/"


_WRITTEN: Final = {
    "began": _began, "reminder": _reminder, "outage": _outage, "over": _over, "approval": _approval,
    "summary": _summary, "test": _test,
}  # fmt: skip


def why_not(r: Reader, fault: Mapping[str, Any]) -> str:
    """What was wrong with a destination, or with one message, in a sentence."""
    code, status = str(fault.get("code")), fault.get("status")
    if code == "http" and f"notify.fault.http.{status}" in r.t:
        return r.t(f"notify.fault.http.{status}")
    key = f"notify.fault.{code}"
    return r.t(key, status=status if status is not None else "") if key in r.t else r.t("notify.fault.unknown")


def about(r: Reader, kind: str, params: Mapping[str, Any]) -> str:
    """One line of the list of messages."""
    return _WRITTEN[kind](r, 0, params)[0] if kind in _WRITTEN else kind


def _named(e: EventReading) -> Parts:
    return e.words(e.code, name=e.param("name"), place=e.param("place")), []


def _edited(e: EventReading) -> Parts:
    before, after = ({name: _readable(e.r, name, given) for name, given in of.items()} for of in (e.before, e.after))
    changed = e._replace(before=before, after=after)
    return e.words(e.code, name=e.param("name")), differences(
        changed, lambda name: e.r.text_of("notify.member", plain(name))
    )


def _readable(r: Reader, name: str, given: object) -> object:
    """As the form shows it, not as it is stored."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < MOST_NUMBER:
        if name == "after_s":
            return r.span(given)
        if name == "remind_h":
            return r.t("notify.remind.hours", n=r.number(given), count=given)
        if name in ("quiet_from", "quiet_to"):
            return f"{given // 60:02}{'.' if r.language == 'id' else ':'}{given % 60:02}"
    if name in ("kinds", "causes") and isinstance(given, (list, tuple)):
        words = cause_name if name == "causes" else (lambda r, kind: r.text_of("notify.kind", plain(kind, 60)))
        return "; ".join(words(r, str(one)) for one in given)
    return given


def _sent_for_test(e: EventReading) -> Parts:
    ended = "sent" if e.params.get("sent") is True else "failed"
    return e.words(e.code, name=e.param("name")), [e.words(f"notification.tested.{ended}")]


SENTENCES: Final[Mapping[str, Sentence]] = {
    "notification.destination_added": _named,
    "notification.destination_edited": _edited,
    "notification.destination_removed": _named,
    "notification.tested": _sent_for_test,
}
