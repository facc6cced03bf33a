"""/troubles: what is wrong with machines, as it is recorded: who is on it, until when it is not counted, notes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

from dashboard.outage import TOGETHER_MS
from dashboard.texts import texts_in
from db.errors import Conflict
from db.queries import troubles
from db.trouble_records import TroubleRow
from hub.attention import preview, rules
from hub.attention.rules import Person
from hub.attention.service import Act, Acts
from hub.kernel.announce import AT_ONCE
from hub.model.actors import row_id
from hub.model.changes import Change, patches
from hub.model.views import answer, epoch_ms
from hub.web.api.endpoint import permit
from hub.web.api.headers import next_page
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import Limit, Note, Row
from hub.web.shell.fleet_digest import FleetDigest


@of_record(TroubleRow, without=("rvm_id", "noticed_at", "ended_at"))
class OpenTrouble(msgspec.Struct):
    """A cause that holds. `value`: the reading when it began; `owner`: who is on it since `taken_at`;
    `snoozed_until`: until then it is not counted; `note`: of `note_by`."""


@of_record(TroubleRow)
class TroubleView(msgspec.Struct):
    """`began_at`: since when it is wrong, `noticed_at`: when the hub knew; `ended_at` null: it goes on."""

    device_id: str
    machine: str


State = Literal["open", "taken", "snoozed", "over"]


class TroubleQuery(msgspec.Struct, rename={"rvm_id": "rvm"}):
    """Newest first. `open`: all that go on, also those that somebody is on or that are snoozed; `before`: the last id
    of the page before."""

    state: State = "open"
    rvm_id: Row | None = None
    cause: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    before: Row | None = None
    limit: Limit = 100


class Taking(msgspec.Struct):
    """`take_over`: also from somebody who is on it; `outage`: all machines that went at once with this one."""

    take_over: bool = False
    outage: bool = False


class ForOutage(msgspec.Struct):
    outage: bool = False


class Snoozing(msgspec.Struct):
    """`choice`: an hour, four, or until tomorrow at 7 where the machine stands."""

    choice: Literal["1h", "4h", "tomorrow"]
    note: Note | None = None
    outage: bool = False


class NoteBody(msgspec.Struct):
    note: Annotated[Note, msgspec.Meta(min_length=1)]


async def list_troubles(call: Call) -> Answer:
    query: TroubleQuery = call.query
    if query.rvm_id is not None and not call.principal.reaches(query.rvm_id):
        raise not_found()
    reach = call.principal.machines if query.rvm_id is None else frozenset({query.rvm_id})
    found = await troubles.page(
        call.context.store, query.state, call.now, query.limit + 1, reach, cause=query.cause, before=query.before
    )
    page = [shown for row in found[: query.limit] if (shown := _view(call, row)) is not None]
    following = found[query.limit - 1].id if len(found) > query.limit else None
    return Answer(page, headers=next_page(call.request, before=following))


class AlertRule(msgspec.Struct):
    """`watches`: in a sentence. `limit`: what the fleet goes by, null where there is none; `setting`: the machines'
    setting that has it, null: nobody can set it; `own`: machines with their own. Of the last 7 days: how often it
    `began`, how many of these were over within 5 minutes (`short_lived`), and the median of how long they lasted;
    null: no log is kept."""

    cause: str
    kind: str
    watches: str
    limit: float | bool | None
    unit: str
    setting: str | None
    own: int
    open: int
    began: int | None
    short_lived: int | None
    typical_s: float | None


class PreviewQuery(msgspec.Struct):
    """`limit`: of the reading, % or °C."""

    limit: Annotated[float, msgspec.Meta(ge=-50, le=150)]


class Beginnings(msgspec.Struct):
    """`limit`: of machines without their own; `times` on `machines`."""

    limit: float
    times: int
    machines: int


class RulePreview(msgspec.Struct):
    """Of the last 7 days, from samples that are kept, one every `sample_s` by the settings: as it would have been
    (`with_limit`) and with the limits of now (`as_now`); `began`: as recorded. `read` of `total` machines in time;
    `own`: with their own limit, which they keep."""

    cause: str
    setting: str | None
    with_limit: Beginnings
    as_now: Beginnings
    began: int
    read: int
    total: int
    own: int
    sample_s: float


async def list_rules(call: Call) -> Answer:
    found = await preview.all_rules(call.context, call.principal, call.now)
    sentence = texts_in(call.language)
    return Answer([
        AlertRule(
            one.cause, one.kind, sentence(f"rule.{one.cause}"), one.limit, one.unit, one.setting, one.own, one.open,
            *((one.past.began, one.past.short, one.past.typical_s) if one.past is not None else (None, None, None)),
        )
        for one in found.rules
    ])  # fmt: skip


async def preview_rule(call: Call) -> Answer:
    cause = call.request.path_params["cause"]
    if cause not in rules.LIMITED:
        raise not_found()
    made = await preview.preview(call.context, call.principal, cause, call.query.limit, call.now)
    return Answer(RulePreview(
        cause, rules.LIMITED[cause][1], Beginnings(made.limit, *made.with_limit),
        Beginnings(made.now_limit, *made.as_now), made.began, made.read, made.total, made.own,
        call.context.fleet.settings.shared.metrics_interval,
    ))  # fmt: skip


async def take(call: Call) -> Answer:
    wanted: Taking = call.body or Taking()
    return await _each(call, await rows_of(call, wanted.outage), lambda row: take_row(call, row, wanted.take_over))


async def release(call: Call) -> Answer:
    return await _each(call, await rows_of(call, _all(call)), lambda row: release_row(call, row))


async def snooze(call: Call) -> Answer:
    wanted: Snoozing = call.body
    rows = await rows_of(call, wanted.outage)
    return await _each(call, rows, lambda row: snooze_row(call, row, wanted.choice, wanted.note))


async def unsnooze(call: Call) -> Answer:
    return await _each(call, await rows_of(call, _all(call)), lambda row: unsnooze_row(call, row))


async def write_note(call: Call) -> Answer:
    row = await named(call)
    return Answer(_view(call, await note_row(call, row, call.body.note)))


def _all(call: Call) -> bool:
    return call.body is not None and call.body.outage


async def take_row(call: Call, row: TroubleRow, take_over: bool) -> TroubleRow:
    """Whoever is on it already stays so. Raises the 409 that names who was first."""
    by = person(call)
    if row.owner_id == by.id:
        return row
    if row.owner_id is not None and not take_over:
        _late(call, row)
        raise held(row)
    return await _act(call, row, "take", rules.taken(row, by, call.now))


async def release_row(call: Call, row: TroubleRow) -> TroubleRow:
    if row.owner_id is None:
        return row
    if row.owner_id != call.principal.id:
        raise held(row)
    return await _act(call, row, "release", rules.released(row, person(call), call.now))


async def snooze_row(call: Call, row: TroubleRow, choice: str, note: str | None) -> TroubleRow:
    """The same once more within seconds is the same press."""
    act = call.context[Acts].of(row.id, call.principal.id, call.now, rules.SHOWN)
    if act is not None and act.kind == f"snooze {choice}" and rules.same(act.after, row):
        return row
    until = rules.until_of(choice, call.now, call.context.fleet.machines[row.rvm_id].site_zone)
    return await _act(call, row, f"snooze {choice}", rules.snoozed(row, until, note, person(call), call.now))


async def unsnooze_row(call: Call, row: TroubleRow) -> TroubleRow:
    if row.snoozed_until is None:
        return row
    return await _act(call, row, "unsnooze", rules.unsnoozed(row, person(call), call.now))


async def note_row(call: Call, row: TroubleRow, note: str) -> TroubleRow:
    if not rules.may_note(row):
        raise Problem("conflict", Text("trouble_not_taken"))
    if row.note == note:
        return row
    return await _act(call, row, "note", rules.noted(row, note, person(call), call.now))


async def undo_row(call: Call, row: TroubleRow) -> TroubleRow:
    """What this person did last, unless something else was done since. Raises the 409."""
    act = call.context[Acts].of(row.id, call.principal.id, call.now)
    if act is None or act.kind in ("late", "undo") or not rules.same(act.after, row):
        raise Problem("conflict", Text("undo_over"))
    return await _act(call, row, "undo", rules.undone(row, act.before, person(call), call.now))


async def rows_of(call: Call, outage: bool) -> list[TroubleRow]:
    """The one of the path; of an outage those of all its machines that this person reaches, also when that one is back
    by now: they come back one by one while somebody presses."""
    row = await named(call, open_only=not outage)
    if row.ended_at is not None:
        fleet = (machine for machine in call.context.fleet.machines.values() if call.principal.reaches(machine.id))
        away, apart = (machine.troubles.get("offline") for machine in fleet), timedelta(milliseconds=TOGETHER_MS)
        if not (left := rules.gone_with(row, away, apart)):
            raise Problem("conflict", Text("trouble_over"))
        return left
    if not outage or row.cause != "offline":
        return [row]
    digest = await call.context[FleetDigest].of(call.principal.machines, epoch_ms(call.now))
    together = next((one.ids for one in digest.outages if row.rvm_id in one.ids), (row.rvm_id,))
    machines = (call.context.fleet.machines.get(rvm_id) for rvm_id in together)
    return [
        machine.troubles["offline"] for machine in machines if machine is not None and "offline" in machine.troubles
    ] or [row]


async def named(call: Call, *, open_only: bool = False) -> TroubleRow:
    """404 for unknown and out of reach alike; 409 for one that is over."""
    number = row_id(call.request.path_params["trouble_id"])
    row = None if number is None else await troubles.find(call.context.store, number)
    if row is None or not call.principal.reaches(row.rvm_id) or row.rvm_id not in call.context.fleet.machines:
        raise not_found()
    permit(call.principal, "trouble.act", row.rvm_id)
    if open_only and row.ended_at is not None:
        raise Problem("conflict", Text("trouble_over"))
    return row


def person(call: Call) -> Person:
    return Person(call.principal.id, call.principal.name, call.principal.actor)


def held(row: TroubleRow) -> Problem:
    return Problem("conflict", Text("trouble_held", {"name": row.owner or ""}), code="held")


def _late(call: Call, row: TroubleRow) -> None:
    call.context[Acts].note(Act(call.principal.id, call.now, "late", row, row))


async def _act(call: Call, row: TroubleRow, kind: str, made: Sequence[Change]) -> TroubleRow:
    try:
        await call.announce(*made)
    except Conflict as meanwhile:
        now_is = await troubles.find(call.context.store, row.id)
        if now_is is None:
            raise not_found() from meanwhile
        if now_is.ended_at is not None and row.ended_at is None:
            raise Problem("conflict", Text("trouble_over")) from meanwhile
        if now_is.owner_id not in (None, call.principal.id, row.owner_id):
            _late(call, now_is)
            raise held(now_is) from meanwhile
        raise Problem("conflict", Text("changed_meanwhile")) from meanwhile
    (patch,) = patches(made, TroubleRow)
    after = msgspec.structs.replace(row, **patch.values)
    call.context[Acts].note(Act(call.principal.id, call.now, kind, row, after))
    return after


async def _each(call: Call, rows: Sequence[TroubleRow], do: Callable[[TroubleRow], Awaitable[TroubleRow]]) -> Answer:
    shown = [_view(call, row) for row in await each(rows, do)]
    return Answer(shown if len(rows) > 1 else shown[0])


async def each(rows: Sequence[TroubleRow], do: Callable[[TroubleRow], Awaitable[TroubleRow]]) -> list[TroubleRow]:
    """What could be done, of an outage; raises the refusal when nothing could."""
    done: list[TroubleRow] = []
    refused: Problem | None = None
    for start in range(0, len(rows), AT_ONCE):
        for outcome in await asyncio.gather(*map(do, rows[start : start + AT_ONCE]), return_exceptions=True):
            if isinstance(outcome, TroubleRow):
                done.append(outcome)
            elif isinstance(outcome, Problem):
                refused = outcome
            else:
                raise outcome
    if refused is not None and not done:
        raise refused
    return done


def _view(call: Call, row: TroubleRow) -> dict[str, Any] | None:
    machine = call.context.fleet.machines.get(row.rvm_id)
    return None if machine is None else answer(TroubleView, row, device_id=machine.row.device_id, machine=machine.name)


_EXAMPLE: Final = {"choice": "tomorrow", "note": "The belt comes with the morning truck"}
_WHEN_OVER: Final = (404, 409)
_OUTAGE: Final = "`outage`: of all machines that went at once with this one; the answer is then a list."

OPERATIONS = (
    Operation(
        name="list_troubles", method="GET", path="/v2/troubles", handler=list_troubles, tag="Troubles",
        summary="What is wrong with machines, and what was: since when, until when, who is on it, newest first",
        action="trouble.read", query=TroubleQuery, answers={200: list[TroubleView]}, refusals=(404,), headers=("Link",),
        reads=0.02,
    ),
    Operation(
        name="list_alert_rules", method="GET", path="/v2/alert-rules", handler=list_rules, tag="Troubles",
        summary="What the hub watches: limits, what is open, and how often it began in the last 7 days",
        action="trouble.read", answers={200: list[AlertRule]}, reads=5,
        description="Of machines that you reach alone.",
    ),
    Operation(
        name="preview_alert_rule", method="GET", path="/v2/alert-rules/{cause}/preview", handler=preview_rule,
        tag="Troubles", summary="How often it would have begun in the last 7 days with another limit",
        action="trouble.read", query=PreviewQuery, answers={200: RulePreview}, refusals=(404, 429), reads=20,
        description="Of `hot`, `cpu`, `memory` and `disk`. Nothing is stored. It takes 5 s at most: machines "
        "that could not be read by then are not in it.",
    ),
    Operation(
        name="take_trouble", method="POST", path="/v2/troubles/{trouble_id}/take", handler=take, tag="Troubles",
        summary="Say that you are on it", action="trouble.act", body=Taking, body_optional=True,
        answers={200: TroubleView | list[TroubleView]}, refusals=_WHEN_OVER, example={"take_over": False},
        description="Everybody sees it at once. Of two at once one is first; the other gets 409 `held` with the name. "
        "It ends by `release`, when somebody takes it over, and with the trouble. " + _OUTAGE,
    ),
    Operation(
        name="release_trouble", method="POST", path="/v2/troubles/{trouble_id}/release", handler=release,
        tag="Troubles", summary="Say that you are no longer on it", action="trouble.act", body=ForOutage,
        body_optional=True, example={"outage": True}, answers={200: TroubleView | list[TroubleView]},
        refusals=_WHEN_OVER, description=_OUTAGE,
    ),
    Operation(
        name="snooze_trouble", method="POST", path="/v2/troubles/{trouble_id}/snooze", handler=snooze, tag="Troubles",
        summary="Leave it out of the count for a while", action="trouble.act", body=Snoozing,
        answers={200: TroubleView | list[TroubleView]}, refusals=_WHEN_OVER, example=_EXAMPLE,
        description="It stays on the list, folded, and the machine is not called fine. It is back at the time; another "
        "cause of the same machine is counted at once. " + _OUTAGE,
    ),
    Operation(
        name="unsnooze_trouble", method="POST", path="/v2/troubles/{trouble_id}/unsnooze", handler=unsnooze,
        tag="Troubles", summary="Count a snoozed one again", action="trouble.act", body=ForOutage, body_optional=True,
        example={"outage": True},
        answers={200: TroubleView | list[TroubleView]},
        refusals=_WHEN_OVER, description=_OUTAGE,
    ),
    Operation(
        name="note_trouble", method="PUT", path="/v2/troubles/{trouble_id}/note", handler=write_note, tag="Troubles",
        summary="Note what was done about one that somebody is on, or that is over", action="trouble.act",
        body=NoteBody, answers={200: TroubleView}, refusals=_WHEN_OVER, example={"note": "Replaced the fan"},
    ),
)  # fmt: skip
