"""`/machines/{id}/do/{action}`: what a machine can be asked for, as a page that says the effect before the click.

The same forms stand in the dialogs of the machine's page; here they work without script.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard import actions
from hub.commands import api, service
from hub.commands.rules.draft import Refused
from hub.machines import tab
from hub.model.machine import Machine
from hub.web.api.endpoint import why_not
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go


async def show_action(visit: Visit, fault: str = "", status: int = 200) -> Response:
    found, name = visit.machine(), _action_named(visit)
    head = await tab.head(visit, found)
    offer = next(offer for offer in head["offers"] if offer.name == name)
    return visit.render("do.html", status, m=head["m"], s=head, offer=offer, fault=fault)


async def do_action(visit: Visit) -> Response:
    """The same operation as by REST, then to the machine, whose page shows the job."""
    found, name = visit.machine(), _action_named(visit)
    if not visit.may("command.send", found.id):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    if name in actions.DISRUPTIVE and not visit.form.get("reason", "").strip():
        return await show_action(visit, visit.reader.t("reason.missing"), 422)
    try:
        wanted = validate(api.NewCommand, _body_of(name, visit.form))
        await api.send_command(once(visit, found, wanted))
    except (Problem, Refused) as refused:
        problem = refused if isinstance(refused, Problem) else Problem("conflict", why_not(refused.code))
        return await show_action(visit, visit.say(problem), problem.status)
    return go(f"/machines/{found.id}")


def once(visit: Visit, found: Machine | None, body: Any) -> Call:
    """The form's wish as a call of the API. Sent twice (a second press, a reload), the wish is done once."""
    wish = visit.form.get("wish", "")
    call = visit.call(body, machine=found, query=service.Waiting())
    if wish:
        scope = dict(visit.request.scope)
        scope["headers"] = [*scope["headers"], (service.HEADER.lower().encode(), wish.encode("utf-8", "replace"))]
        call.request = Request(scope)
    return call


def _body_of(name: str, form: dict[str, str]) -> dict[str, Any]:
    """The body of POST /rvms/{id}/commands."""
    reason = form.get("reason", "").strip()
    args: dict[str, Any] = {}
    if name == "restart_service":
        args = {"service": form.get("service", "").strip()}
    elif form.get("force"):
        args = {"force": True}
    return {"name": name, "args": args} | ({"reason": reason} if reason else {})


def _action_named(visit: Visit) -> str:
    name: str = visit.request.path_params["action"]
    if name not in actions.ACTIONS:
        raise not_found()
    return name
