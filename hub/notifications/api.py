"""/notification-destinations: where trouble is sent to; /notifications: what became of each message. For
administrators. An address is given and never shown again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from dashboard import notifications as sentences
from dashboard.reader import Reader
from db.errors import Conflict
from db.notification_records import DestinationRow, NotificationRow
from db.queries import notifications as stored
from hub.attention.rules import KIND_OF
from hub.kernel.sealing import Seal
from hub.model.actors import MAX_ROW_ID, Actor, row_id
from hub.model.changes import Change, Drop, EventHappened, Patch, Put, put_rows
from hub.model.machine import tags_of
from hub.model.views import answer, epoch_ms
from hub.notifications import rules
from hub.notifications.rules import AddressError, SendOutcome
from hub.notifications.service import KEY_FILE, Notifier
from hub.web.api import headers as paging
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import ONE_LINE, Language, Limit, Note, Row, TagsOfUser, Zone
from protocol.zones import is_zone

MOST: Final = 50
"""Destinations."""
TESTS_AT_ONCE: Final = 2
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=60, pattern=ONE_LINE, extra={"expect": "expect.destination_name"})
]
Address = Annotated[
    str, msgspec.Meta(min_length=1, max_length=rules.MAX_ADDRESS, extra={"expect": "expect.notify_address"})
]
Kinds = Annotated[
    list[Literal["away", "machine", "health", "security", "backups", "approval"]], msgspec.Meta(max_length=6)
]
Cause = Annotated[str, msgspec.Meta(max_length=40, extra_json_schema={"enum": list(KIND_OF)})]
Causes = Annotated[list[Cause], msgspec.Meta(max_length=len(KIND_OF))]
Sites = Annotated[list[Note], msgspec.Meta(max_length=100)]
After = Annotated[int, msgspec.Meta(ge=0, le=86_400)]
Remind = Annotated[int, msgspec.Meta(ge=1, le=168)]
PerHour = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Minute = Annotated[int, msgspec.Meta(ge=0, le=1439)]


@of_record(DestinationRow, without=("address", "disabled_at"))
class Destination(msgspec.Struct):
    """`place`: what of its address may be shown. `kinds` (whole ones) and
    `causes` (single ones): what is one of either, both null: all; `tags`, `sites` likewise. `failing_since`: no message
    reached it since; `fault`: why, in a sentence."""

    fault: str | None
    disabled: bool


@of_record(NotificationRow, without=("open", "params"))
class Notification(msgspec.Struct):
    """`text`: its title; `error`: why it was not sent, in a sentence."""

    error: str | None
    text: str


class NewDestination(msgspec.Struct, kw_only=True):
    """`address`: an URL of apprise, like `tgram://TOKEN/CHAT_ID`. `quiet_from`, `quiet_to`: minutes of its day."""

    name: Name
    address: Address
    language: Language = "en"
    timezone: Zone | None = None
    kinds: Kinds | None = None
    causes: Causes | None = None
    tags: TagsOfUser | None = None
    sites: Sites | None = None
    after_s: After = 120
    also_over: bool = True
    remind_h: Remind | None = None
    quiet_from: Minute | None = None
    quiet_to: Minute | None = None
    per_hour: PerHour = 20


class DestinationPatch(msgspec.Struct):
    """Only what is named changes."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    address: Address | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType = msgspec.UNSET
    timezone: Zone | msgspec.UnsetType = msgspec.UNSET
    kinds: Kinds | msgspec.UnsetType | None = msgspec.UNSET
    causes: Causes | msgspec.UnsetType | None = msgspec.UNSET
    tags: TagsOfUser | msgspec.UnsetType | None = msgspec.UNSET
    sites: Sites | msgspec.UnsetType | None = msgspec.UNSET
    after_s: After | msgspec.UnsetType = msgspec.UNSET
    also_over: bool | msgspec.UnsetType = msgspec.UNSET
    remind_h: Remind | msgspec.UnsetType | None = msgspec.UNSET
    quiet_from: Minute | msgspec.UnsetType | None = msgspec.UNSET
    quiet_to: Minute | msgspec.UnsetType | None = msgspec.UNSET
    per_hour: PerHour | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET


class Tested(msgspec.Struct):
    """`sent`: the far side took it; `result`: how it ended, in a sentence."""

    sent: bool
    result: str


class NotificationsQuery(msgspec.Struct):
    """Newest first; `before`: the last id of the page before."""

    destination: Row | None = None
    before: Row | None = None
    limit: Limit = 100


async def list_destinations(call: Call) -> Answer:
    return Answer([view(call, row) for row in await stored.all_destinations(call.context.store)])


async def add_destination(call: Call) -> Answer:
    wanted: NewDestination = call.body
    values = await checked(call.context[Notifier].seal, given_of(wanted, call.context.settings.default_timezone))
    async with call.context.counting:
        known = await stored.all_destinations(call.context.store)
        done = await _announce(call, *added(values, known, call.now, call.principal.actor))
    made = next(put_rows(done, DestinationRow))
    where = {"Location": f"/api/v2/notification-destinations/{made.id}"}
    return Answer(view(call, await find(call, made.id)), 201, headers=where)


def given_of(wanted: NewDestination, default_zone: str) -> dict[str, Any]:
    return msgspec.structs.asdict(wanted) | {"timezone": wanted.timezone or default_zone}


def added(values: dict[str, Any], known: list[DestinationRow], now: datetime, actor: Actor) -> list[Change]:
    """`values` as `checked`. Raises the 409."""
    if len(known) >= MOST:
        raise Problem("conflict", Text("too_many_destinations", {"most": MOST}))
    _free(known, values["name"])
    row = DestinationRow(**values, created_at=now, updated_at=now)
    return [Put(row), _event("notification.destination_added", row, now, actor, after=_shown(values))]


async def edit_destination(call: Call) -> Answer:
    row = await named(call)
    values = await checked(call.context[Notifier].seal, patched(call.body, row, call.now), row)
    made = edited(row, values, await stored.all_destinations(call.context.store), call.now, call.principal.actor)
    if made:
        await _announce(call, *made)
    return Answer(view(call, await find(call, row.id)))


def patched(patch: DestinationPatch, row: DestinationRow, now: datetime) -> dict[str, Any]:
    """What it names, as members of the row."""
    given = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
    if "disabled" in given:
        disabled = given.pop("disabled")
        if disabled != (row.disabled_at is not None):
            given["disabled_at"] = now if disabled else None
    return given


def edited(
    row: DestinationRow, values: dict[str, Any], known: list[DestinationRow], now: datetime, actor: Actor
) -> list[Change]:
    """`values` as `checked`; none when nothing changes. Raises the 409."""
    after = {name: value for name, value in values.items() if value != getattr(row, name)}
    if not after:
        return []
    if "name" in after:
        _free(known, after["name"], row.id)
    before = _shown({name: getattr(row, name) for name in after})
    if "address" in after or "disabled_at" in after:
        after |= {"failing_since": None, "fault": None}
    return [
        Patch(DestinationRow, row.id, {**after, "updated_at": now}, must="id"),
        *(_again(row, now) if "address" in after or after.get("disabled_at", now) is None else ()),
        _event("notification.destination_edited", row, now, actor, before=before, after=_shown(after)),
    ]


def _again(row: DestinationRow, now: datetime) -> list[Change]:
    """What waits for an address that was wrong is tried at once."""
    where = (("destination_id", "=", row.id), ("state", "=", "waiting"))
    return [Patch(NotificationRow, None, {"next_at": now, "attempts": 0}, where=where)]


async def remove_destination(call: Call) -> Answer:
    await _announce(call, *removed(await named(call), call.now, call.principal.actor))
    return Answer(status=204)


def removed(row: DestinationRow, now: datetime, actor: Actor) -> list[Change]:
    return [Drop(DestinationRow, row.id, must="id"), _event("notification.destination_removed", row, now, actor)]


async def test_destination(call: Call) -> Answer:
    row = await named(call)
    notifier = call.context[Notifier]
    if notifier.tests >= TESTS_AT_ONCE:
        raise Problem("too-many-requests", Text("too_many_tests"), retry_after=10)
    notifier.tests += 1
    try:
        outcome = await notifier.send(row, "test", None, {"name": row.name})
    finally:
        notifier.tests -= 1
    await _announce(call, *tested(row, outcome, call.context.clock(), call.principal.actor))
    return Answer({"sent": not outcome.code, "result": result_of(_reader(call), row, outcome)})


def tested(row: DestinationRow, outcome: SendOutcome, now: datetime, actor: Actor) -> list[Change]:
    fault = {"code": outcome.code, "status": outcome.status}
    fine = {"last_sent_at": now, "failing_since": None, "fault": None}
    found = fine if not outcome.code else {"failing_since": row.failing_since or now, "fault": fault}
    event = _event("notification.tested", row, now, actor, sent=not outcome.code, fault=outcome.code)
    return [Patch(DestinationRow, row.id, found), *(_again(row, now) if not outcome.code else ()), event]


def result_of(r: Reader, row: DestinationRow, outcome: SendOutcome) -> str:
    if not outcome.code:
        return r.t("notify.tested", place=row.place)
    return r.t("notify.not_tested", why=sentences.why_not(r, {"code": outcome.code, "status": outcome.status}))


async def list_notifications(call: Call) -> Answer:
    query: NotificationsQuery = call.query
    before = query.before or MAX_ROW_ID
    rows = await stored.listed(call.context.store, query.destination, before, query.limit + 1)
    following = rows[query.limit - 1].id if len(rows) > query.limit else None
    r = _reader(call)
    page = [shown_message(r, row) for row in rows[: query.limit]]
    return Answer(page, headers=paging.next_page(call.request, before=following))


async def checked(seal: Seal, values: dict[str, Any], row: DestinationRow | None = None) -> dict[str, Any]:
    """As stored; `row`: what stands where `values` name nothing. Raises the 422."""
    begin, end = (values.get(name, getattr(row, name, None)) for name in ("quiet_from", "quiet_to"))
    if (begin is None) != (end is None):  # one end alone would make no hour quiet
        raise one_wrong("quiet_from" if begin is None else "quiet_to", "quiet_half")
    found = dict(values)
    if "address" in found:
        address = found["address"].strip()
        try:
            found["place"] = rules.place_of(address)
        except AddressError as wrong:
            known = sorted(rules.SERVICES)
            raise one_wrong("address", f"notify_address.{wrong.code}", named=wrong.named, known=known) from wrong
        try:
            found["address"] = await seal.close(address)
        except (OSError, ValueError) as error:
            raise Problem("unavailable", Text("notifications_key_unusable", {"file": KEY_FILE})) from error
    if "timezone" in found and not is_zone(found["timezone"]):
        raise one_wrong("timezone", "expect.zone")
    if not KIND_OF.keys() >= set(found.get("causes") or ()):
        raise one_wrong("causes", "expect.list", of=Text("expect.one_of", {"values": list(KIND_OF)}))
    for name in ("kinds", "causes", "sites", "tags"):
        if found.get(name) is not None:
            listed = tags_of(found[name]) if name == "tags" else tuple(dict.fromkeys(found[name]))
            found[name] = tuple(listed) or None
    return found


def _free(known: list[DestinationRow], name: str, own_id: int | None = None) -> None:
    if any(one.name.casefold() == name.casefold() and one.id != own_id for one in known):
        raise _taken()


def _taken() -> Problem:
    return Problem("conflict", Text("taken.destination_name"), errors={"name": [Text("taken.destination_name")]})


async def _announce(call: Call, *changes: Change) -> list[Change]:
    try:
        return await call.announce(*changes)
    except Conflict as late:
        if late.kind == "missing":
            raise not_found() from late
        raise _taken() from late


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """For the audit log: the address only as `place`."""
    shown = {name: value for name, value in values.items() if name not in ("address", "failing_since", "fault")}
    if "disabled_at" in shown:
        shown["disabled"] = shown.pop("disabled_at") is not None
    return {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}


def _event(code: str, row: DestinationRow, now: datetime, actor: Actor, **more: Any) -> EventHappened:
    states = {name: more.pop(name) for name in ("before", "after") if name in more}
    return EventHappened(
        at=now, code=code, actor=actor, params={"name": row.name, "place": row.place, **more}, **states
    )


async def named(call: Call) -> DestinationRow:
    number = row_id(call.request.path_params["destination_id"])
    return await find(call, -1 if number is None else number)


async def find(call: Call, destination_id: int) -> DestinationRow:
    everywhere = await stored.all_destinations(call.context.store)
    found = next((row for row in everywhere if row.id == destination_id), None)
    if found is None:
        raise not_found()
    return found


def view(call: Call, row: DestinationRow) -> dict[str, Any]:
    return shown(_reader(call), row)


def shown(r: Reader, row: DestinationRow) -> dict[str, Any]:
    fault = None if row.fault is None else sentences.why_not(r, row.fault)
    return answer(Destination, row, fault=fault, disabled=row.disabled_at is not None)


def shown_message(r: Reader, row: NotificationRow) -> dict[str, Any]:
    error = None if row.error is None else sentences.why_not(r, row.error)
    return answer(Notification, row, text=sentences.about(r, row.kind, row.params), error=error)


def _reader(call: Call) -> Reader:
    return Reader(call.language, "auto", call.context.settings.default_timezone, epoch_ms(call.now))


_EXAMPLE: Final = {
    "name": "Operators in Jakarta", "address": "tgram://123456789:AAExampleExampleExampleExampleExampl/-1001234567890",
    "language": "id", "kinds": ["away", "machine"], "tags": ["jakarta"],
}  # fmt: skip
_PATH: Final = "/v2/notification-destinations"
_ONE: Final = f"{_PATH}/{{destination_id}}"

OPERATIONS = (
    Operation(
        name="list_notification_destinations", method="GET", path=_PATH, handler=list_destinations, tag="Hub",
        summary="Where trouble is sent to", action="notification.manage", answers={200: list[Destination]},
    ),
    Operation(
        name="add_notification_destination", method="POST", path=_PATH, handler=add_destination, tag="Hub",
        summary="Send trouble to one more place", action="notification.manage", body=NewDestination,
        answers={201: Destination}, refusals=(409, 503), example=_EXAMPLE,
    ),
    Operation(
        name="edit_notification_destination", method="PATCH", path=_ONE, handler=edit_destination, tag="Hub",
        summary="Change what is sent there, pause it, or give its address anew", action="notification.manage",
        body=DestinationPatch, answers={200: Destination}, refusals=(404, 409, 503), example={"after_s": 300},
    ),
    Operation(
        name="remove_notification_destination", method="DELETE", path=_ONE, handler=remove_destination, tag="Hub",
        summary="Send nothing there any more", action="notification.manage", answers={204: None}, refusals=(404,),
    ),
    Operation(
        name="test_notification_destination", method="POST", path=f"{_ONE}/test", handler=test_destination, tag="Hub",
        summary="Send a test message and wait for the result", action="notification.manage", answers={200: Tested},
        refusals=(404, 429),
    ),
    Operation(
        name="list_notifications", method="GET", path="/v2/notifications", handler=list_notifications, tag="Hub",
        summary="Messages: what was sent, waits, or could not be sent", action="notification.manage",
        query=NotificationsQuery, answers={200: list[Notification]},
    ),
)  # fmt: skip
