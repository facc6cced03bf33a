"""`/bulk`: one wish for the machines selected on the Machines page: says what will happen, asks once, shows the group.

The page's `bulk.js` asks the same of the API without leaving; this is its way without script.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from starlette.responses import Response

from dashboard import actions, bulk
from hub.commands import arguments
from hub.commands.arguments import CommandName
from hub.commands.bulk import api as bulk_api
from hub.commands.pages.action import once
from hub.commands.rules import draft
from hub.model import views
from hub.model.machine import Machine
from hub.model.row_id import row_id
from hub.web.http.problems import Problem, Text, not_found
from hub.web.shell.page import Visit, go

MOST_FIELDS: Final = bulk_api.MOST + 10


async def ask_or_do(visit: Visit) -> Response:
    """First what would happen, then, with `sure`, the doing."""
    wish = bulk.WISHES.get(visit.form.get("do", ""))
    if wish is None:
        raise not_found()
    if not visit.may("command.send"):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    found = _selected(visit)
    if not found:
        return _confirm(visit, wish, found, visit.reader.t("bulk.none"), 422)
    reason = visit.form.get("reason", "").strip()
    if not visit.form.get("sure"):
        return _confirm(visit, wish, found)
    if wish.needs_reason and not reason:
        return _confirm(visit, wish, found, visit.reader.t("reason.missing"), 422)
    try:
        return await _issue(visit, wish, found, reason)
    except Problem as refused:
        return _confirm(visit, wish, found, visit.say(refused), refused.status)


async def _issue(visit: Visit, wish: bulk.Wish, found: list[Machine], reason: str) -> Response:
    name: CommandName = wish.name
    able = [m for m in found if actions.can(name, {"commands": m.capabilities})]
    if not able:
        return _confirm(visit, wish, found, visit.reader.t("locked.unsupported"), 409)
    call = once(visit, None, bulk_api.ManyCommands(name=name, args=dict(wish.args), rvms=[m.id for m in able]))
    args = arguments.read_arguments(call, name, wish.args)
    data = await bulk_api.issue_many(call, name, args, [bulk_api.Target(m.id, m) for m in able], reason or None)
    machines = visit.context.fleet.machines
    refused = [result for result in data["results"] if result["refused"] is not None]
    rows = [(machines.get(row["rvm_id"]), row["refused"]["message"]) for row in refused]
    rows += [(m, visit.reader.t("locked.unsupported")) for m in found if m not in able]
    if not rows:
        return go(f"/jobs?group={data['group_id']}")
    return visit.render("bulk.html", **_about(visit, wish, found), fault="", group=data["group_id"], refused=rows)


def _confirm(visit: Visit, wish: bulk.Wish, found: list[Machine], fault: str = "", status: int = 200) -> Response:
    return visit.render("bulk.html", status, **_about(visit, wish, found), fault=fault, group="", refused=[])


def _about(visit: Visit, wish: bulk.Wish, found: list[Machine]) -> dict[str, Any]:
    reader = visit.reader
    return {
        "wish": wish,
        "machines": found,
        "forecast": bulk.forecast(wish, [views.machine_view(m, times="ms") for m in found]),
        "until_words": reader.day(reader.now + int(draft.PATIENCE.total_seconds() * 1000)),
        "given": visit.form,
        "random_wish": secrets.token_hex(16),
    }


def _selected(visit: Visit) -> list[Machine]:
    """Each machine once; what is not there or out of reach was removed meanwhile, and is left out."""
    ids = dict.fromkeys(row_id(value) for name, value in visit.fields if name == "rvm")
    machines = visit.context.fleet.machines
    found = [machines.get(rvm_id) for rvm_id in ids if rvm_id is not None]
    return [m for m in found if m is not None and visit.user.reaches(m.id)][: bulk_api.MOST]
