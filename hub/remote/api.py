"""/rvms/{id}/remote-access: remote sessions. The tunnel's ticket appears in no answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

import msgspec

from db.queries import remote_sessions as rows
from db.records import SESSION_PARTS, RemoteSessionRow
from hub.commands.rules import Refused
from hub.links.links import Links
from hub.model import views
from hub.model.access import may, role_needed
from hub.model.changes import Change, moved_rows, put_rows
from hub.remote.rules import life, requests
from hub.remote.rules.requests import SessionRefused, SessionRequest
from hub.remote.service import RemoteSessions
from hub.web.api import headers
from hub.web.api.endpoint import why_not
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, one_wrong, translator
from hub.web.http.validation import Instant, Limit, Note, Row

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=1, le=86400)]
Part = Literal["terminal", "ports", "files"]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[!-~]*$(?!\n)")]


class Start(msgspec.Struct):
    """`admin_id` and `ip_address` must be those of the token and the socket; with a machine's own key `admin_id` is
    recorded and not looked up. `port`: the page wanted first; `ports` (default: all declared): those that may be
    opened. `duration` in seconds: default 1800, at most the machine's `session_timeout`."""

    admin_id: Row | None = None
    ip_address: Address | None = None
    port: Port | None = None
    ports: Annotated[list[Port], msgspec.Meta(max_length=32)] | None = None
    reason: Note | None = None
    duration: Seconds | None = None
    allow: Annotated[list[Part], msgspec.Meta(min_length=1, max_length=10)] | None = None


class Stop(msgspec.Struct):
    """Which session, of several; `reason` is for the audit log."""

    admin_id: Row | None = None
    reason: Note | None = None
    session_id: Row | None = None


class Extend(msgspec.Struct):
    duration: Seconds
    session_id: Row | None = None


class NamedSession(msgspec.Struct):
    session_id: Row


class SessionHistoryQuery(msgspec.Struct):
    """Newest first; `before`: the last id of the page before."""

    before: Row | None = None
    limit: Limit = 50


class RemoteSessionView(msgspec.Struct):
    """`status` requested waits for a second person until `expires_at`. `origin` site: begun with the machine's own
    key. `end_reason` (with `ended_by`): stopped, timed_out, idle, link_lost, hub_restarted, agent_restarted,
    machine_rebooted, revoked, intruder, start_failed, not_approved, declined, protocol_error. `recordings`: how
    many."""

    id: int
    rvm_id: int
    device_id: str
    admin_id: int | None
    admin_name: str
    status: Literal["requested", "starting", "active", "ended", "refused"]
    start_time: Instant
    expires_at: Instant
    duration_s: float
    created_at: Instant
    reason: str | None
    ip_address: str | None
    port: int | None
    ports: list[int]
    allow: list[Part]
    origin: Literal["hub", "site"]
    approved_by: str | None
    approved_at: Instant | None
    end_time: Instant | None
    ended_by: str | None
    end_reason: str | None
    command_id: str | None
    recordings: int


class StartRefusal(msgspec.Struct):
    code: str
    message: str


class DeclaredPage(msgspec.Struct):
    """`name`: as the machine's `remote_page_names` has it. `kind`: what is on the port where nobody named it."""

    port: int
    name: str | None
    kind: Literal["camera", "control"] | None


class RemoteStatus(msgspec.Struct):
    """`sessions`: the open ones, oldest first."""

    enabled: bool
    can_open: bool
    refusal: StartRefusal | None
    approval: bool
    declared_ports: list[int]
    declared_pages: list[DeclaredPage]
    max_concurrent_sessions: int
    session_timeout: float
    sessions: list[RemoteSessionView]


__all__ = ["OPERATIONS", "Extend", "NamedSession", "Start", "Stop", "approve", "decline", "extend", "history", "start",
           "status", "stop"]  # fmt: skip

BUSY_RETRY_S: Final = 60.0
_KINDS: Final = {403: "forbidden", 409: "conflict", 429: "too-many-requests"}


async def start(call: Call) -> Answer:
    if call.principal.kind == "user":
        _reason_given(call, (call.body or Start()).reason)
        await _settings_known(call)
    async with call.context[RemoteSessions].lock:
        session = await _opened(call, _request(call, call.body or Start()))
        if session.status != "requested":
            session = await _begun(call, session)
    return Answer(_shown(call, session), 201, Text(f"remote.{session.status}"))


async def stop(call: Call) -> Answer:
    wanted: Stop = call.body or Stop()
    by_machine = call.principal.kind == "machine"
    if not by_machine and wanted.admin_id not in (None, call.principal.id):
        raise one_wrong("admin_id", "expect.own_id", id=call.principal.id)
    named = wanted.admin_id if by_machine else None
    with _refusals():
        session = requests.chosen(call.machine, call.principal, wanted.session_id, named)
    if session.admin_id != call.principal.id:
        _reason_given(call, wanted.reason)
    # A machine may give the reason; a person's is only a note of the event.
    sent = wanted.reason if by_machine else None
    reason = sent if sent in life.MACHINE_REASONS else "stopped"
    note = None if wanted.reason in (None, "", reason) else wanted.reason
    changes = requests.stop(call.machine, session, str(reason), call.principal.actor, call.now, note=note)
    return Answer(_shown(call, await _moved(call, changes, session)), message=Text("remote.ended"))


async def extend(call: Call) -> Answer:
    wanted: Extend = call.body
    async with call.context[RemoteSessions].lock:
        with _refusals():
            session = requests.chosen(call.machine, call.principal, wanted.session_id)
            changes = requests.extend(call.machine, session, wanted.duration, call.principal.actor, call.now)
        return Answer(_shown(call, await _moved(call, changes, session)))


async def approve(call: Call) -> Answer:
    async with call.context[RemoteSessions].lock:
        session = _waiting(call)
        with _refusals():
            changes = requests.approve(call.machine, session, call.principal.actor, call.now)
        return Answer(_shown(call, await _moved(call, changes, session)))


async def decline(call: Call) -> Answer:
    session = _waiting(call)
    with _refusals():
        changes = requests.decline(session, call.principal.actor, call.now)
    return Answer(_shown(call, await _moved(call, changes, session)))


async def status(call: Call) -> Answer:
    machine, refusal = call.machine, _refusal(call)
    sessions = life.open_of(machine)
    counts = await rows.recordings_of(call.context.store, [session.id for session in sessions])
    return Answer(
        {
            "enabled": machine.effective_settings.on("remote_access_enabled"),
            "can_open": refusal is None,
            "refusal": refusal,
            "approval": requests.needs_approval(machine),
            "declared_ports": list(requests.declared_ports(machine)),
            "declared_pages": [page._asdict() for page in requests.declared_pages(machine)],
            "max_concurrent_sessions": requests.most_at_once(machine),
            "session_timeout": requests.longest_s(machine),
            "sessions": [_shown(call, session, counts.get(session.id, 0)) for session in sessions],
        }
    )


async def history(call: Call) -> Answer:
    query: SessionHistoryQuery = call.query
    store = call.context.store
    found = await rows.history(store, call.machine.id, query.limit + 1, query.before)
    page = found[: query.limit]
    counts = await rows.recordings_of(store, [session.id for session in page])
    following = page[-1].id if len(found) > query.limit else None
    shown = [_shown(call, session, counts.get(session.id, 0)) for session in page]
    return Answer(shown, headers=headers.next_page(call.request, before=following))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (SessionRefused, Refused) as refused:
        raise problem(refused) from refused


def problem(refused: SessionRefused | Refused) -> Problem:
    if isinstance(refused, Refused):
        return Problem("conflict", why_not(refused.code), code=refused.code)
    retry = BUSY_RETRY_S if refused.status == 429 else None
    text = Text(f"remote_refused.{refused.code}", refused.params)
    return Problem(_KINDS[refused.status], text, retry_after=retry, code=refused.code)


async def _settings_known(call: Call) -> None:
    """Raises Problem 409 while a new machine's settings are unknown, unless `admin_ips` is written here."""
    machine, link = call.machine, call.context[Links].get(call.machine.id)
    if link is None or await link.settings_known() or machine.row.config_applied_at is not None:
        return
    if "admin_ips" not in machine.effective_settings.written:
        raise problem(SessionRefused("settings_unknown", 409))


def _reason_given(call: Call, reason: str | None) -> None:
    """By a person at the dashboard; programs and machines may leave it out. Raises Problem 422 at `reason`."""
    if call.principal.via == "session" and not (reason or "").strip():
        raise one_wrong("reason", "reason_wanted")


def _request(call: Call, wanted: Start) -> SessionRequest:
    machine, person = call.machine, call.principal.kind == "user"
    if wanted.ip_address is not None and not requests.same_address(wanted.ip_address, call.address):
        raise one_wrong("ip_address", "expect.own_address", address=call.address)
    if person and wanted.admin_id not in (None, call.principal.id):
        raise one_wrong("admin_id", "expect.own_id", id=call.principal.id)
    longest = requests.longest_s(machine)
    duration = min(requests.DEFAULT_S, longest) if wanted.duration is None else wanted.duration
    if duration > longest:
        raise one_wrong("duration", "expect.duration", most=f"{longest:g}")
    allow = tuple(part for part in SESSION_PARTS if wanted.allow is None or part in wanted.allow)
    return SessionRequest(
        holder=call.principal.id if person else None,
        name=call.principal.name if person else "",
        address=call.address,
        duration=duration,
        allow=allow,
        ports=_ports(call, wanted, allow),
        port=wanted.port,
        reason=wanted.reason or None,
        origin="hub" if person else "site",
        claimed=None if person else wanted.admin_id,
    )


def _ports(call: Call, wanted: Start, allow: tuple[str, ...]) -> tuple[int, ...]:
    declared = requests.declared_ports(call.machine)
    for member, given in (("ports", wanted.ports or ()), ("port", () if wanted.port is None else (wanted.port,))):
        if not set(given) <= set(declared):
            raise one_wrong(member, "expect.declared_port", ports=", ".join(map(str, declared)) or "–")
    if "ports" not in allow:
        return ()
    asked = declared if wanted.ports is None else (*wanted.ports, *(() if wanted.port is None else (wanted.port,)))
    return tuple(dict.fromkeys(asked))


async def _opened(call: Call, asked: SessionRequest) -> RemoteSessionRow:
    fleet = call.context.fleet
    held = 0 if asked.holder is None else requests.count_of(fleet.machines.values(), asked.holder)
    refused = requests.refusal(call.machine, asked.address, of_person=held, origin=asked.origin)
    if refused is not None:
        raise problem(refused)
    stored = await call.context.announce(*requests.opening(call.machine, asked, call.principal.actor, call.now))
    return next(put_rows(stored, RemoteSessionRow))


async def _begun(call: Call, session: RemoteSessionRow) -> RemoteSessionRow:
    machine, actor = call.machine, call.principal.actor
    try:
        if session.origin == "site":
            changes = requests.begin_at_site(machine, session, call.now)
        else:
            changes = requests.begin(machine, session, actor, call.now)
    except Refused as refused:
        await call.context[RemoteSessions].end(session.id, "start_failed")
        raise problem(refused) from refused
    return await _moved(call, changes, session)


async def _moved(call: Call, changes: list[Change], before: RemoteSessionRow) -> RemoteSessionRow:
    stored = await call.context.announce(*changes) if changes else []
    return next(moved_rows(stored, RemoteSessionRow), before)


def _waiting(call: Call) -> RemoteSessionRow:
    session = call.machine.remote_sessions.get(call.body.session_id)
    if session is None:
        raise problem(SessionRefused("no_session", 409))
    if session.admin_id == call.principal.id:
        raise problem(SessionRefused("own_approval", 403))
    return session


def _refusal(call: Call) -> dict[str, str] | None:
    principal, machine = call.principal, call.machine
    say = translator(call.language)
    if not may(principal, "remote.start", machine.id):
        role = Text(f"role.{role_needed('remote.start')}")
        return {"code": "role", "message": say(Text("needs_role", {"role": role}))}
    person = principal.kind == "user"
    held = requests.count_of(call.context.fleet.machines.values(), principal.id) if person else 0
    refused = requests.refusal(machine, call.address, of_person=held, origin="hub" if person else "site")
    if refused is None:
        return None
    return {"code": refused.code, "message": say(problem(refused).detail)}


def _shown(call: Call, session: RemoteSessionRow, recordings: int = 0) -> dict[str, Any]:
    return views.session_view(session, recordings, device_id=call.machine.row.device_id)


_BELOW = "/v2/rvms/{id}/remote-access"
_ONE: Final = {200: RemoteSessionView}
_TAG = "Remote access"

OPERATIONS = (
    Operation(
        name="start_remote_access", method="POST", path=f"{_BELOW}/start", handler=start, tag=_TAG,
        summary="Begin a session on a machine", action="remote.start", body=Start, body_optional=True,
        answers={201: RemoteSessionView}, refusals=(404, 409, 429),
        example={"port": 5001, "reason": "camera stays dark", "duration": 1800},
        description="For a person the machine must be online, and the address one of its `admin_ips`. The machine is "
        "in maintenance while it lasts. With a machine's own key: a session begun on site, recorded at once; "
        "`admin_id` is noted as claimed and names nobody. A "
        "refusal has a `code`: settings_unknown, remote_access_disabled, address_not_allowed, machine_offline, "
        "machine_busy, too_many_sessions, too_many_of_machine, too_many_of_person.",
    ),
    Operation(
        name="stop_remote_access", method="POST", path=f"{_BELOW}/stop", handler=stop, tag=_TAG,
        summary="End a session", action="remote.stop", body=Stop, body_optional=True, answers=_ONE,
        refusals=(404, 409), example={"reason": "session_completed"},
        description="One's own; an administrator may end anybody's. Without `session_id`: one's own, else the oldest.",
    ),
    Operation(
        name="extend_remote_access", method="POST", path=f"{_BELOW}/extend", handler=extend, tag=_TAG,
        summary="Let a session last longer", action="remote.start", body=Extend, answers=_ONE,
        refusals=(404, 409), example={"duration": 900},
        description="Never beyond the machine's `session_timeout` after its start.",
    ),
    Operation(
        name="approve_remote_access", method="POST", path=f"{_BELOW}/approve", handler=approve, tag=_TAG,
        summary="Agree to a session that another person asks for", action="remote.approve", body=NamedSession,
        answers=_ONE, refusals=(404, 409), example={"session_id": 12},
    ),
    Operation(
        name="decline_remote_access", method="POST", path=f"{_BELOW}/decline", handler=decline, tag=_TAG,
        summary="Decline a session that another person asks for", action="remote.approve", body=NamedSession,
        answers=_ONE, refusals=(404, 409), example={"session_id": 12},
    ),
    Operation(
        name="remote_access_status", method="GET", path=f"{_BELOW}/status", handler=status, tag=_TAG,
        summary="Who is on the machine, and whether the caller may be", action="remote.read",
        answers={200: RemoteStatus}, refusals=(404,),
    ),
    Operation(
        name="remote_access_history", method="GET", path=f"{_BELOW}/history", handler=history, tag=_TAG,
        summary="Every session there was", action="remote.read", query=SessionHistoryQuery,
        answers={200: list[RemoteSessionView]}, refusals=(404,), headers=("Link",),
    ),
)  # fmt: skip
