"""`/admin/notifications`: where trouble is sent to, and what became of the messages; one destination below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from dashboard import fleet
from dashboard import notifications as sentences
from db.notification_records import DestinationRow, NotificationRow
from db.queries import notifications as stored
from hub.attention.rules import GROUPS, KIND_OF
from hub.model.actors import MAX_ROW_ID
from hub.model.views import epoch_ms
from hub.notifications import api, rules
from hub.web.http.problems import Problem, translator
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import FleetDigest
from hub.web.shell.page import Visit, go

HERE: Final = "/admin/notifications"
MOST_FIELDS: Final = 1000
"""A box for each tag and each site."""
SHOWN: Final = 50
REMINDERS: Final = (1, 2, 4, 8, 12, 24)
MANY: Final = ("kinds", "causes", "tags", "sites")
"""Fields with a box for each."""
NOTICES: Final = ("added", "saved", "removed", "tested")
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?")
LABELS: Final[Mapping[str, str]] = {
    "name": "name", "address": "notify.address", "language": "language.label", "timezone": "notify.zone",
    "kinds": "notify.kinds", "causes": "notify.causes", "tags": "users.tags", "sites": "notify.sites",
    "after_s": "notify.after",
    "remind_h": "notify.remind", "quiet_from": "notify.quiet.from", "quiet_to": "notify.quiet.to",
    "per_hour": "notify.per_hour",
}  # fmt: skip
"""What stands at the fields, by REST's names of them."""
BLANK: Final[Mapping[str, Any]] = {
    "name": "", "address": "", "language": "", "timezone": "", "kinds": tuple(GROUPS), "causes": (), "tags": (),
    "sites": (),
    "after": "2", "also_over": True, "remind_h": "", "quiet_from": "", "quiet_to": "", "per_hour": "20",
}  # fmt: skip


async def show_destinations(visit: Visit) -> Response:
    return await _list(visit)


async def add_destination(visit: Visit) -> Response:
    wanted = _wanted(visit)
    wanted["address"] = visit.form.get("address", "").strip()
    try:
        answer = await api.add_destination(visit.call(validate(api.NewDestination, wanted)))
    except Problem as refused:
        return await _list(visit, ("bad", _refusal(visit, refused)), refused.status, typed=True)
    return go(f"{HERE}/{answer.data['id']}?notice=added")


async def show_destination(visit: Visit) -> Response:
    row = await api.named(visit.call())
    notice = visit.request.query_params.get("notice", "")
    if notice == "tested":
        failed = row.fault is not None
        why = sentences.why_not(visit.reader, row.fault or {})
        said = visit.reader.t("notify.not_tested", why=why) if failed else _tested(visit, row)
        return await _one(visit, row, ("bad" if failed else "good", said))
    return await _one(visit, row, ("good", visit.reader.t(f"notify.{notice}")) if notice in NOTICES else None)


def _tested(visit: Visit, row: DestinationRow) -> str:
    return visit.reader.t("notify.tested", place=row.place)


async def save_destination(visit: Visit) -> Response:
    row = await api.named(visit.call())
    wanted = _wanted(visit)
    if address := visit.form.get("address", "").strip():
        wanted["address"] = address
    try:
        await api.edit_destination(visit.call(validate(api.DestinationPatch, wanted)))
    except Problem as refused:
        if refused.kind == "not-found":
            raise
        return await _one(visit, row, ("bad", _refusal(visit, refused)), refused.status, typed=True)
    return go(f"{HERE}/{row.id}?notice=saved")


async def change_destination(visit: Visit) -> Response:
    row, what = await api.named(visit.call()), visit.request.path_params["what"]
    if what == "test":
        await api.test_destination(visit.call())
        return go(f"{HERE}/{row.id}?notice=tested")
    if what == "remove":
        await api.remove_destination(visit.call())
        return go(f"{HERE}?notice=removed")
    if what in ("pause", "resume"):
        await api.edit_destination(visit.call(api.DestinationPatch(disabled=what == "pause")))
    return go(f"{HERE}/{row.id}")


async def to_destination(visit: Visit) -> Response:
    return go(f"{HERE}/{(await api.named(visit.call())).id}")


async def _list(
    visit: Visit, notice: tuple[str, str] | None = None, status: int = 200, *, typed: bool = False
) -> Response:
    if notice is None and visit.request.query_params.get("notice") == "removed":
        notice = ("good", visit.reader.t("notify.removed"))
    rows = await stored.all_destinations(visit.context.store)
    own = {"language": visit.reader.language, "timezone": visit.context.settings.default_timezone}
    given = _typed(visit) if typed else {**BLANK, **own}
    return visit.render(
        "notifications.html", status, notice=notice, destinations=[_shown(visit, row) for row in rows],
        messages=await _messages(visit, None, {row.id: row.name for row in rows}),
        no_link=visit.context.settings.public_address is None, **await _choices(visit, given),
    )  # fmt: skip


async def _one(
    visit: Visit, row: DestinationRow, notice: tuple[str, str] | None, status: int = 200, *, typed: bool = False
) -> Response:
    return visit.render(
        "notification.html", status, notice=notice, of=_shown(visit, row), messages=await _messages(visit, row.id, {}),
        **await _choices(visit, _typed(visit) if typed else _given(row)),
    )  # fmt: skip


async def _choices(visit: Visit, given: Mapping[str, Any]) -> dict[str, Any]:
    views = await visit.context[FleetDigest].views(None)
    tags = {name for name, *_ in fleet.tag_counts(views)} | set(given["tags"])
    sites = {view["location_description"] for view in views if view["location_description"]} | set(given["sites"])
    return {
        "given": given, "groups": GROUPS, "tags": sorted(tags, key=str.casefold),
        "sites": sorted(sites, key=str.casefold), "reminders": REMINDERS, "longest": rules.MAX_ADDRESS,
    }  # fmt: skip


def _shown(visit: Visit, row: DestinationRow) -> dict[str, Any]:
    fault = None if row.fault is None else sentences.why_not(visit.reader, row.fault)
    return {
        "id": row.id, "name": row.name, "place": row.place, "paused": row.disabled_at is not None, "fault": fault,
        "failing": None if row.failing_since is None else epoch_ms(row.failing_since),
        "sent": None if row.last_sent_at is None else epoch_ms(row.last_sent_at),
    }  # fmt: skip


async def _messages(visit: Visit, destination_id: int | None, names: Mapping[int, str]) -> list[dict[str, Any]]:
    rows = await stored.listed(visit.context.store, destination_id, MAX_ROW_ID, SHOWN)
    return [_message(visit, row, names.get(row.destination_id, "")) for row in rows]


def _message(visit: Visit, row: NotificationRow, name: str) -> dict[str, Any]:
    state = row.state if row.error is None or row.state != "waiting" else "again"
    dropped = row.state == "dropped" and row.error is not None
    why = "" if row.error is None or dropped else sentences.why_not(visit.reader, row.error)
    return {
        "at": epoch_ms(row.sent_at or row.created_at), "to": name,
        "text": sentences.about(visit.reader, row.kind, row.params),
        "state": f"{state}.{(row.error or {}).get('code')}" if dropped else state, "why": why,
    }  # fmt: skip


def _refusal(visit: Visit, refused: Problem) -> str:
    """The first that is wrong, with what stands at its field."""
    for member, whys in (refused.errors or {}).items():
        if member in LABELS:
            return f"{visit.reader.t(LABELS[member])}: {translator(visit.reader.language)(whys[0])}"
    return visit.sentence(refused)


def _wanted(visit: Visit) -> dict[str, Any]:
    """As REST takes it; what is no number stays as it was typed, and is named."""
    form, typed = visit.form, _typed(visit)
    kinds = list(typed["kinds"])
    is_all = len(kinds) == len(GROUPS)
    return {
        "name": typed["name"], "language": typed["language"], "timezone": typed["timezone"],
        "kinds": None if is_all else kinds,
        # Of a kind that is sent wholly no cause is chosen by itself: without the kind it would be left over.
        "causes": None if is_all else [one for one in typed["causes"] if KIND_OF.get(one) not in kinds] or None,
        "tags": list(typed["tags"]) or None, "sites": list(typed["sites"]) or None,
        "after_s": _number(typed["after"], 60), "also_over": "also_over" in form,
        "remind_h": _number(typed["remind_h"]) if typed["remind_h"] else None,
        "quiet_from": _minutes(typed["quiet_from"]), "quiet_to": _minutes(typed["quiet_to"]),
        "per_hour": _number(typed["per_hour"]),
    }  # fmt: skip


def _typed(visit: Visit) -> dict[str, Any]:
    """As it stands in the form."""
    names = ("name", "language", "timezone", "after", "remind_h", "quiet_from", "quiet_to", "per_hour")
    many = {field: tuple(text for name, text in visit.fields if name == field) for field in MANY}
    plain = {name: visit.form.get(name, "").strip() for name in names}
    return {**plain, **many, "address": "", "also_over": "also_over" in visit.form}


def _given(row: DestinationRow) -> dict[str, Any]:
    return {
        "name": row.name, "address": "", "language": row.language, "timezone": row.timezone,
        "kinds": tuple(GROUPS) if row.kinds is None and row.causes is None else row.kinds or (),
        "causes": row.causes or (), "tags": row.tags or (), "sites": row.sites or (),
        "after": f"{row.after_s / 60:g}", "also_over": row.also_over,
        "remind_h": row.remind_h or "", "quiet_from": _clock(row.quiet_from), "quiet_to": _clock(row.quiet_to),
        "per_hour": str(row.per_hour),
    }  # fmt: skip


def _number(text: str, times: int = 1) -> int | str:
    whole = text.isascii() and text.isdigit() and len(text) < 7
    return int(text) * times if whole else text


def _minutes(text: str) -> int | str | None:
    if not text:
        return None
    found = _CLOCK.fullmatch(text)
    return int(found[1]) * 60 + int(found[2]) if found else text


def _clock(minutes: int | None) -> str:
    return "" if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"
