"""Adds machines, one by a form or many from a sheet; shows a machine's key, replaces it; removes the machine. A key
stays only in the memory of the session that made it, for a quarter of an hour."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from db.errors import Conflict
from hub.commands.rules import Refused
from hub.machines import api, rules, sheet_api, tab
from hub.model import credentials
from hub.model.machine import Machine
from hub.model.views import epoch_ms
from hub.web.api.operation import Answer, Call
from hub.web.http.problems import Problem, Text, not_found, translator
from hub.web.http.validation import validate
from hub.web.shell.fresh_secrets import FreshSecrets, key_place
from hub.web.shell.page import Visit, base_url, go
from protocol import addresses


async def first_run(visit: Visit) -> Response:
    return _page(visit, first=True)


async def show_add(visit: Visit) -> Response:
    return _page(visit)


async def add(visit: Visit) -> Response:
    given = {"name": visit.form.get("name", "").strip(), "site": visit.form.get("location_description", "").strip()}
    wanted: dict[str, Any] = {"name": given["name"]}
    if given["site"]:
        wanted["location_description"] = given["site"]
    first = not visit.context.fleet.machines
    if not visit.may("machine.manage"):
        return _page(visit, first=first, status=403)
    async with visit.context[FreshSecrets].lock:
        try:
            answer = await api.add_machine(visit.call(validate(api.NewMachine, wanted)))
        except (Problem, Conflict) as refused:
            status = refused.status if isinstance(refused, Problem) else 409
            if status == 409 and (before := _just_added(visit, given["name"])) is not None:
                return go(before)
            fault = visit.sentence(refused) if isinstance(refused, Problem) and status != 409 else None
            fault = fault or visit.reader.t("fault.name_taken")
            return _page(visit, first=first, given=given, fault=fault, status=status)
        place = key_place(answer.data["id"])
        visit.context[FreshSecrets].keep(visit.user, place, answer.data["api_key"])
    return go(place)


def _just_added(visit: Visit, name: str) -> str | None:
    machines = visit.context.fleet.machines.values()
    places = (key_place(m.id) for m in machines if m.row.name == rules.composed(name))
    return next((place for place in places if visit.context[FreshSecrets].find(visit.user, place) is not None), None)


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
        gone=tab.gone(visit),
        given=given or {"name": "", "site": ""},
        fault=fault,
        may_add=visit.may("machine.manage"),
    )


CONFIG_FILE = "rvm.json"


async def show_key(visit: Visit) -> Response:
    found = visit.machine()
    _must_manage(visit)
    key = fresh_key(visit, found)
    address = base_url(visit)
    return visit.render(
        "machine_key.html",
        m=found.row,
        key=key,
        address=address,
        here_only=addresses.is_url_of_this_computer(address),
        plain_http=addresses.is_url_unencrypted(address),
        command=block(config_text(address, found, key)) if key else "",
        is_new=found.last_seen_at is None,
        renewal=_renewal(visit, found),
    )


def _renewal(visit: Visit, machine: Machine) -> dict[str, Any]:
    """Of the key over the link: whether it can be asked for, is asked for, or waits for its first use."""
    r, row, asked = visit.reader, machine.row, rules.renewal_asked(machine)
    waits = ""
    if row.next_api_key_prefix is not None and row.next_api_key_at is not None:
        made = r.ago(epoch_ms(row.next_api_key_at))
        waits = r.t("key.renew.waits", prefix=row.next_api_key_prefix, time=made)
    return {"may": machine.linked, "job": None if asked is None else asked.id, "waits": waits}


def block(config: str) -> str:
    """What to paste into a terminal of a fresh Ubuntu or Debian, in the program's folder; root there may have no sudo.
    Nobody else may read the file from its first byte on; what the doctor finds comes before the agent's own lines."""
    return "\n".join(
        (
            "python3 -c 'import ensurepip, venv' 2>/dev/null ||",
            "  $(command -v sudo) sh -c 'apt-get update && apt-get install -y python3-venv'",
            f"(umask 077; cat > {CONFIG_FILE} <<'END'",
            config,
            "END",
            ")",
            f"chmod 600 {CONFIG_FILE}",
            f"python3 run_device.py doctor --config {CONFIG_FILE}",
            f"python3 run_device.py --config {CONFIG_FILE}",
        )
    )


async def download_config(visit: Visit) -> Response:
    found = visit.machine()
    _must_manage(visit)
    key = fresh_key(visit, found)
    if key is None:
        raise not_found()
    headers = {"Content-Disposition": f'attachment; filename="{CONFIG_FILE}"', "Cache-Control": "no-store"}
    return Response(config_text(base_url(visit), found, key), headers=headers, media_type="application/json")


async def new_key(visit: Visit) -> Response:
    found = visit.machine()
    _must_manage(visit)
    if (does := _OVER_THE_LINK.get(visit.form.get("do", ""))) is not None:
        return await _over_the_link(visit, does)
    async with visit.context[FreshSecrets].lock:
        if visit.form.get("instead_of", "") == (found.row.api_key_prefix or ""):
            answer = await api.rotate_key(visit.call(machine=found))
            visit.context[FreshSecrets].keep(visit.user, key_place(found.id), answer.data["api_key"])
    return go(key_place(found.id))


_OVER_THE_LINK: Final = {"renew": api.renew_key, "withdraw": api.withdraw_key}


async def _over_the_link(visit: Visit, does: Callable[[Call], Awaitable[Answer]]) -> Response:
    found = visit.machine()
    with contextlib.suppress(Conflict, Problem, Refused):  # the page shows what is so by now
        answer = await does(visit.call(machine=found))
        if answer.status == 202:
            return go(f"/jobs/{answer.data['id']}")
    return go(key_place(found.id))


async def ask_removal(visit: Visit) -> Response:
    return _removal(visit)


async def remove(visit: Visit) -> Response:
    found = visit.machine()
    _must_manage(visit)
    if not rules.is_name(visit.form.get("name", ""), found.row.name):
        return _removal(visit, visit.reader.t("remove.name_wrong"), 422)
    await api.remove_machine(visit.call(machine=found))
    return go(f"/?{urlencode({'gone': found.name})}")  # where the open page leads, too, which hears of it as others do


def fresh_key(visit: Visit, machine: Machine) -> str | None:
    key = visit.context[FreshSecrets].find(visit.user, key_place(machine.id))
    shape = None if key is None else credentials.recognise(key)
    is_its = shape is not None and credentials.same_hash(shape.hash, machine.row.api_key)
    return key if is_its else None


def config_text(address: str, machine: Machine, key: str) -> str:
    """The machine's configuration file (requirements.md, section 4); omitted members keep their default."""
    values: dict[str, object] = {"myrvm_base_url": address, "rvm_id": machine.row.device_id, "api_token": key}
    if addresses.is_url_unencrypted(address):
        values["allow_plain_http"] = True
    return json.dumps(values, indent=2, ensure_ascii=False)


def _removal(visit: Visit, fault: str = "", status: int = 200) -> Response:
    found = visit.machine()
    _must_manage(visit)
    leases, jobs = len(found.remote_sessions), len(found.pending)
    return visit.render("machine_remove.html", status, m=found, fault=fault, leases=leases, jobs=jobs)


def _must_manage(visit: Visit) -> None:
    if not visit.may("machine.manage"):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.admin")}))


async def show_import(visit: Visit) -> Response:
    return _import(visit)


async def import_sheet(visit: Visit) -> Response:
    """Looks first; adds with `do`."""
    _must_manage(visit)
    text, adds = visit.form.get("csv", ""), visit.form.get("do") == "add"
    try:
        wanted = validate(sheet_api.MachineSheet, {"csv": text, "dry_run": not adds})
        answer = await sheet_api.import_machines(visit.call(wanted))
    except Problem as refused:
        translate = translator(visit.reader.language)
        faults = [(where, [translate(why) for why in whys]) for where, whys in (refused.errors or {}).items()]
        return _import(visit, text=text, faults=faults or [("csv", [visit.sentence(refused)])], status=refused.status)
    except Conflict:
        return _import(visit, text=text, faults=[("csv", [visit.reader.t("fault.name_taken")])], status=409)
    return go("/") if adds else _import(visit, text=text, found=answer.data.machines)


def _import(
    visit: Visit, *, text: str = "", faults: list[tuple[str, list[str]]] | None = None, found: Any = None,
    status: int = 200,
) -> Response:  # fmt: skip
    lines = [(where.removeprefix("line "), whys) for where, whys in faults or ()]
    may_add = visit.may("machine.manage")
    return visit.render("import.html", status, text=text, faults=lines, found=found, may_add=may_add)
