"""`/machines/{id}/remote`: sessions, the form that begins one, one's own work area."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from dashboard import remote_sessions as session_texts
from dashboard.reader import Reader
from db.queries import remote_sessions
from db.queries.events import EventFilters, list_events
from db.records import RemoteSessionRow
from hub.machines import tab
from hub.model.actors import row_id
from hub.model.machine import Machine
from hub.model.views import epoch_ms, machine_view
from hub.remote import api, files_api, pages_api
from hub.remote.pages_api import OpenedPage
from hub.remote.recordings.page import Names, actors_of, part_past, with_epoch_ms
from hub.remote.rules import life, requests
from hub.remote.rules.requests import longest_s
from hub.web.api.endpoint import permit
from hub.web.api.operation import Answer, Call
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, who


def page_names(reader: Reader, found: Machine) -> dict[int, str]:
    """What the machine shows on its ports, in the reader's words."""
    return {page.port: session_texts.page_name(reader, *page) for page in requests.declared_pages(found)}


class SessionCard(NamedTuple):
    s: dict[str, Any]
    mine: bool
    may_end: bool
    may_extend: bool
    may_approve: bool
    mark: str
    left: str
    until: str
    since: str
    allow: str
    approved_by: str
    expires_at: int
    longest: str


def card(visit: Visit, found: Machine, session: RemoteSessionRow, names: Names, zone: str) -> SessionCard:
    reader, s, most = visit.reader, with_epoch_ms(session), requests.longest_s(found)
    mine = session.admin_id == visit.user.id
    ends = visit.may("remote.stop", found.id) and requests.may_move(visit.user, session)
    return SessionCard(
        s=s,
        mine=mine,
        may_end=ends,
        may_extend=ends and session_texts.may_extend(s, most),
        may_approve=session.status == "requested" and not mine and visit.may("remote.approve", found.id),
        mark=session_texts.MARKS.get(session.status, "unknown"),
        left=session_texts.left(reader, s),
        until=reader.day(s["expires_at"], zone),
        since=reader.day(s["start_time"], zone),
        allow=session_texts.allowed(reader, s, page_names(reader, found)),
        approved_by=who(reader, session.approved_by, names) if session.approved_by else "",
        expires_at=s["expires_at"],
        longest=reader.span(most),
    )


async def open_page(visit: Visit) -> Response:
    """On its own host name by a form that carries the ticket."""
    found = visit.machine()
    permit(visit.user, "remote.use", found.id)
    body = validate(pages_api.PageWanted, _numbers(visit, "port", "session_id"))
    page: OpenedPage = (await pages_api.open_page(visit.call(body, machine=found))).data
    if page.enter is None:
        return go(page.url)
    name = page_names(visit.reader, found).get(page.port) or str(page.port)
    return visit.render("page_enter.html", m=found, page=name, enter=page.enter, ticket=page.ticket)


async def download(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "remote.use", found.id)
    wanted = {"path": visit.form.get("path", ""), **_numbers(visit, "session_id")}
    body = validate(files_api.FileWanted, wanted)
    answer = (await files_api.download(visit.call(body, machine=found))).data
    if not isinstance(answer, Response):
        raise TypeError("a download answers the file")
    return answer


def _numbers(visit: Visit, *names: str) -> dict[str, int]:
    given = {name: row_id(visit.form.get(name, "")) for name in names}
    return {name: number for name, number in given.items() if number is not None}


PAGE: Final = 20
CLOSED_SHOWN: Final = timedelta(days=1)  # That somebody else ended one's session is shown so long
MOST_RECORDINGS: Final = 200  # Recordings looked through for one page of sessions


class StartOffer(NamedTuple):
    """`refusal`: why the reader may not begin a session, "" when they may."""

    refusal: str
    code: str
    durations: list[int]
    most: str
    most_minutes: int
    ports: list[int]
    approval: bool


class May(NamedTuple):
    record_input: bool
    download: list[str]
    upload: list[str]


async def show_remote(visit: Visit) -> Response:
    return await _page(visit, visit.machine())


async def to_remote(visit: Visit) -> Response:
    return go(f"/machines/{visit.machine().id}/remote")


async def start(visit: Visit) -> Response:
    return await begin(visit, _page, f"/machines/{visit.machine().id}/remote")


Form = Callable[[Visit, Machine, str, int], Awaitable[Response]]


async def begin(visit: Visit, again: Form, then: str) -> Response:
    """Begins a session; a refused form is shown `again` as typed."""
    found, form = visit.machine(), visit.form
    permit(visit.user, "remote.start", found.id)
    seconds = session_texts.seconds_asked(form)
    allow = [value for name, value in visit.fields if name == "allow"]
    if seconds is None:
        most = int(longest_s(found) // 60)
        return await again(visit, found, visit.reader.t("lease.fault.duration", most=most), 422)
    if not allow:
        return await again(visit, found, visit.reader.t("lease.fault.allow"), 422)
    wanted: dict[str, Any] = {"duration": seconds, "allow": allow, "reason": form.get("reason", "").strip()}
    if not wanted["reason"]:
        return await again(visit, found, visit.reader.t("reason.missing"), 422)
    if "ports" in allow:
        wanted["ports"] = _ports(visit)
    return await _operate(visit, found, api.start, api.Start, wanted, again, then)


async def stop(visit: Visit) -> Response:
    reason = visit.form.get("reason", "").strip()
    return await _move(visit, "remote.stop", api.stop, api.Stop, {"reason": reason} if reason else {})


async def extend(visit: Visit) -> Response:
    return await _move(visit, "remote.start", api.extend, api.Extend, {"duration": session_texts.EXTEND_S})


async def approve(visit: Visit) -> Response:
    return await _move(visit, "remote.approve", api.approve, api.NamedSession, {})


async def decline(visit: Visit) -> Response:
    return await _move(visit, "remote.approve", api.decline, api.NamedSession, {})


Operate = Callable[[Call], Awaitable[Answer]]


async def _move(visit: Visit, action: str, operate: Operate, kind: Any, wanted: Mapping[str, Any]) -> Response:
    found = visit.machine()
    permit(visit.user, action, found.id)
    return await _operate(
        visit, found, operate, kind, {**wanted, "session_id": row_id(visit.form.get("session_id", "")) or 0}
    )


async def _operate(
    visit: Visit,
    found: Machine,
    operate: Operate,
    kind: Any,
    wanted: Mapping[str, Any],
    again: Form | None = None,
    then: str = "",
) -> Response:
    try:
        await operate(visit.call(validate(kind, dict(wanted)), machine=found))
    except Problem as refused:
        return await (again or _page)(visit, found, visit.sentence(refused), refused.status)
    return go(then or f"/machines/{found.id}/remote")


async def _page(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    head = await tab.head(visit, found)
    values = {**await part_open_sessions(visit), **await part_place(visit), **await part_past(visit)}
    return visit.render("remote.html", status, **values | {"m": head["m"]}, head_of=head, fault=fault)


async def part_open_sessions(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return {"m": machine_view(found, times="ms"), "cards": await _cards(visit, found)}


async def part_place(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    mine = [card for card in await _cards(visit, found) if card.mine]
    closed = None if mine else await _closed_by_another(visit, found)
    offer, folders = await offer_of(visit, found), session_texts.declared(found.row.hardware)
    return {
        "m": machine_view(found, times="ms"),
        "own": next((card for card in mine if card.s["status"] == "active"), None),
        "waiting": any(card.s["status"] != "active" for card in mine),
        "closed": closed,
        "offer": offer,
        "given": _given(visit, offer),
        "pages": page_names(visit.reader, found),
        "may": May(visit.context.settings.record_input, folders["download"], folders["upload"]),
    }


class Closed(NamedTuple):
    """How somebody else ended one's session: who, when, and the reason they gave."""

    who: str
    when: str
    note: str


async def _closed_by_another(visit: Visit, found: Machine) -> Closed | None:
    """Of the reader's newest session here, for a day."""
    rows = await remote_sessions.history(visit.context.store, found.id, PAGE, None, over=True)
    last = next((row for row in rows if row.admin_id == visit.user.id), None)
    if last is None or last.end_time is None or visit.now - last.end_time > CLOSED_SHOWN:
        return None
    by = last.ended_by or ""
    if not by.startswith("user:") or by == visit.user.actor:
        return None
    names = await tab.people(visit, found, [by])
    when = visit.reader.day(epoch_ms(last.end_time), tab.zone_of(visit.reader, found))
    return Closed(who(visit.reader, by, names), when, await _note_of_end(visit, last))


async def _note_of_end(visit: Visit, session: RemoteSessionRow) -> str:
    codes = ["remote.ended", "remote.declined"]
    asked = EventFilters(rvm_ids=[session.rvm_id], codes=codes, start=session.end_time)
    ended = await list_events(visit.context.store, asked, limit=PAGE)
    notes = (event.params.get("note") for event in ended if event.params.get("session_id") == session.id)
    return next((str(note) for note in notes if note), "")


async def _cards(visit: Visit, found: Machine) -> list[SessionCard]:
    open_ones = life.open_of(found)
    names = await tab.people(visit, found, actors_of(open_ones))
    return [card(visit, found, session, names, tab.zone_of(visit.reader, found)) for session in open_ones]


async def offer_of(visit: Visit, found: Machine) -> StartOffer:
    status = (await api.status(visit.call(machine=found))).data
    most, refusal = longest_s(found), status["refusal"]
    return StartOffer(
        refusal="" if refusal is None else refusal["message"],
        code="" if refusal is None else refusal["code"],
        durations=session_texts.durations(most),
        most=visit.reader.span(most),
        most_minutes=max(1, int(most // 60)),
        ports=list(status["declared_ports"]),
        approval=status["approval"],
    )


def _given(visit: Visit, offer: StartOffer) -> dict[str, Any]:
    form = visit.form
    usual = 30 if 30 in offer.durations else offer.durations[-1] if offer.durations else "other"
    sent = "minutes" in form
    return {
        "minutes": form.get("minutes", str(usual)),
        "other": form.get("other", str(min(offer.most_minutes, 45))),
        "reason": form.get("reason", ""),
        "allow": [value for name, value in visit.fields if name == "allow"] if sent else list(session_texts.ALLOWED),
        "ports": _ports(visit) if sent else offer.ports,
    }


def _ports(visit: Visit) -> list[int]:
    given = (row_id(value) for name, value in visit.fields if name == "port")
    return [port for port in given if port is not None]


async def show_terminal(visit: Visit) -> Response:
    """Asks for a reason; who has a session goes straight to its terminal, or with `page` to the machine's pages."""
    found = visit.machine()
    if any(session.admin_id == visit.user.id for session in life.open_of(found)):
        return go(_place_of(visit, found))
    return await _terminal_form(visit, found)


async def open_terminal(visit: Visit) -> Response:
    return await begin(visit, _terminal_form, _place_of(visit, visit.machine()))


async def _terminal_form(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    values = await part_place(visit)
    return visit.render("terminal.html", status, **values, wanted=_page_wanted(visit, found), fault=fault)


def _page_wanted(visit: Visit, found: Machine) -> tuple[int, str] | None:
    """Port and name of the page that is wanted rather than the terminal."""
    port = row_id(visit.form.get("page", "") or visit.request.query_params.get("page", ""))
    name = page_names(visit.reader, found).get(port or 0)
    return None if port is None or name is None else (port, name)


def _place_of(visit: Visit, found: Machine) -> str:
    return f"/machines/{found.id}/remote#{'terminal' if _page_wanted(visit, found) is None else 'pages'}"


async def front_card(visit: Visit, found: Machine) -> dict[str, Any]:
    """What somebody in front of the machine may open: its pages by name, with their own session where there is one."""
    own = life.held(found.remote_sessions, visit.user.id, None, visit.now)
    offer = await offer_of(visit, found)
    return {
        "pages": page_names(visit.reader, found),
        "own": None if own is None else own.id,
        "own_ports": () if own is None or not life.allows(own, "ports") else own.ports or (),
        "refusal": offer.refusal if own is None else "",
    }
