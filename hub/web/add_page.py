"""Adding a machine by key: a name, and on to the page of its key (`hub.web.machine_key_page`).

Also the page of a hub that has no machine yet.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from db.errors import Conflict
from hub.core import enrolment
from hub.web.api_v2 import rvms
from hub.web.api_v2.validation import validate
from hub.web.fresh_secrets import key_place
from hub.web.page import Visit, go
from hub.web.problems import Problem


async def first_run(visit: Visit) -> Response:
    return _page(visit, first=True)


async def show_add(visit: Visit) -> Response:
    return _page(visit)


async def add(visit: Visit) -> Response:
    """On to the page of the new key; also for a form that was sent twice."""
    given = {"name": visit.form.get("name", "").strip(), "site": visit.form.get("location_description", "").strip()}
    wanted: dict[str, Any] = {"name": given["name"]}
    if given["site"]:
        wanted["location_description"] = given["site"]
    first = not visit.context.fleet.machines
    if not visit.may("machine.manage"):
        return _page(visit, first=first, status=403)
    async with visit.context.fresh.lock:
        try:
            answer = await rvms.add_machine(visit.call(validate(rvms.NewMachine, wanted)))
        except (Problem, Conflict) as refused:
            status = refused.status if isinstance(refused, Problem) else 409
            if status == 409 and (before := _just_added(visit, given["name"])) is not None:
                return go(before)
            fault = visit.say(refused) if isinstance(refused, Problem) and status != 409 else None
            fault = fault or visit.reader.t("fault.name_taken")
            return _page(visit, first=first, given=given, fault=fault, status=status)
        place = key_place(answer.data["id"])
        visit.context.fresh.keep(visit.user, place, answer.data["api_key"])
    return go(place)


def _just_added(visit: Visit, name: str) -> str | None:
    """The page of the key of a machine of that name that this very session added a moment ago."""
    machines = visit.context.fleet.machines.values()
    places = (key_place(m.id) for m in machines if m.name == enrolment.composed(name))
    return next((place for place in places if visit.context.fresh.find(visit.user, place) is not None), None)


def base_url(visit: Visit) -> str:
    """Where machines reach this hub: what was configured, else the address the person uses."""
    settings = visit.context.settings
    if settings.public_url:
        return settings.public_url
    scheme = "https" if settings.cookie_secure else "http"
    return f"{scheme}://{visit.request.headers.get('host', f'{settings.host}:{settings.port}')}"


def _page(
    visit: Visit,
    *,
    first: bool = False,
    given: dict[str, str] | None = None,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    return visit.render(
        "add.html",
        status,
        first=first,
        given=given or {"name": "", "site": ""},
        fault=fault,
        may_add=visit.may("machine.manage"),
    )
