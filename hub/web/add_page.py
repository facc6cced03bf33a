"""Adding a machine by key: a name, a key shown once with what to do with it, and a place that waits for the machine.

Also the page of a hub that has no machine yet.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from db.errors import Conflict
from hub.web.api_v2 import rvms
from hub.web.api_v2.validation import validate
from hub.web.page import Visit
from hub.web.problems import Problem

CONFIG_FILE = "rvm.json"


async def first_run(visit: Visit) -> Response:
    return _page(visit, first=True)


async def show_add(visit: Visit) -> Response:
    return _page(visit)


async def add(visit: Visit) -> Response:
    """The form's POST answers the page itself: the key is shown once and must not go through an address."""
    given = {"name": visit.form.get("name", "").strip(), "site": visit.form.get("location_description", "").strip()}
    wanted: dict[str, Any] = {"name": given["name"]}
    if given["site"]:
        wanted["location_description"] = given["site"]
    first = not visit.context.fleet.machines
    if not visit.may("machine.manage"):
        return _page(visit, first=first, status=403)
    try:
        answer = await rvms.add_machine(visit.call(validate(rvms.NewMachine, wanted)))
    except Problem as refused:
        return _page(visit, first=first, given=given, fault=visit.say(refused), status=refused.status)
    except Conflict:
        return _page(visit, first=first, given=given, fault=visit.reader.t("fault.name_taken"), status=409)
    key = answer.data["api_key"]
    machine = visit.context.fleet.find(answer.data["id"])
    return _page(visit, added=machine, key=key, config=config_text(base_url(visit), answer.data), status=201)


def config_text(address: str, machine: dict[str, Any]) -> str:
    """The machine's own configuration file (requirements.md, section 4); what is not named keeps its default."""
    values = {
        "myrvm_base_url": address,
        "api_token": machine["api_key"],
        "rvm_id": machine["id"],
        "device_id": machine["device_id"],
    }
    return json.dumps(values, indent=2, ensure_ascii=False)


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
    added: Any = None,
    key: str = "",
    config: str = "",
    status: int = 200,
) -> Response:
    return visit.render(
        "add.html",
        status,
        first=first and added is None,
        given=given or {"name": "", "site": ""},
        fault=fault,
        added=added,
        key=key,
        config=config,
        command=f"python3 run_device.py --config {CONFIG_FILE}",
        may_add=visit.may("machine.manage"),
    )
