"""`/admin/enrol`: one-time codes, the waiting room; `/machines/{id}/enrol`: one machine from its code to its first
readings. A code stays only in the memory of the session that made it, for a quarter of an hour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.errors import Conflict
from db.queries import enrolments
from hub.enrolment import api, rules
from hub.enrolment.service import machine_of
from hub.machines import api as machines
from hub.machines import rules as machine_rules
from hub.model.actors import row_id
from hub.model.machine import Machine
from hub.model.views import epoch_ms, machine_view
from hub.server.tls import HubTls
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.fresh_secrets import FreshSecrets
from hub.web.shell.page import Visit, base_url, go
from protocol import addresses
from protocol.enrolment import fingerprint

HERE: Final = "/admin/enrol"
MOST_FIELDS: Final = 600
"""A box for each machine that waits."""
LIFETIMES: Final = (3600, 86_400, 7 * 86_400, 30 * 86_400)
SHOWN_DECIDED: Final = 20
PATIENCE: Final = timedelta(seconds=60)
"""After that the page says what to check."""


async def show_enrolment(visit: Visit) -> Response:
    return await _enrolment(visit)


async def _enrolment(visit: Visit, fault: str | None = None, status: int = 200) -> Response:
    code = visit.context[FreshSecrets].find(visit.user, HERE)
    given = {name: visit.form.get(name, "") for name in ("name", "uses", "expires_in", "approval")}
    return visit.render(
        "enrol.html", status, fault=fault, given=given, lifetimes=LIFETIMES, most_uses=rules.MOST_USES,
        **_shown_code(visit, code), **await part_lists(visit),
    )  # fmt: skip


def _shown_code(visit: Visit, code: str | None) -> dict[str, Any]:
    """What to run on a machine; "" without a code."""
    address = base_url(visit)
    plain = addresses.is_url_unencrypted(address)
    words = f"printf '%s\\n' {code} | python3 run_device.py enrol {address} --code -"
    own = visit.context[HubTls].authority
    if own is not None and address.startswith("https://"):
        words += f" --authority {own.fingerprints[0]}"
    return {
        "code": code, "command": f"{words}{' --allow-plain-http' if plain else ''}" if code else "",
        "here_only": addresses.is_url_of_this_computer(address), "plain_http": plain, "address": address,
    }  # fmt: skip


async def make_code(visit: Visit) -> Response:
    wanted: dict[str, Any] = {"approval": visit.form.get("approval", "waiting")}
    if name := visit.form.get("name", "").strip():
        wanted["name"] = name
    for member in ("uses", "expires_in"):
        typed = visit.form.get(member, "").strip()
        wanted[member] = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else typed
    try:
        answer = await api.make_code(visit.call(validate(api.NewCode, wanted)))
    except Problem as refused:
        return await _enrolment(visit, visit.sentence(refused), refused.status)
    visit.context[FreshSecrets].keep(visit.user, HERE, answer.data["code"])
    return go(HERE)


async def revoke_code(visit: Visit) -> Response:
    await api.revoke_code(visit.call())
    return go(HERE)


async def to_enrolment(_visit: Visit) -> Response:
    return go(HERE)


async def decide(visit: Visit) -> Response:
    """The machines of the boxes, or the one of the button: `approve` or `reject`, or with its id behind."""
    done, _, one = visit.form.get("do", "").partition(" ")
    chosen = [one] if one else [text for name, text in visit.fields if name == "enrolment"]
    ids = [number for text in chosen if (number := row_id(text)) is not None]
    back = visit.form.get("back") or HERE
    if not ids and back == HERE:
        return await _enrolment(visit, visit.reader.t("enrol.nobody_chosen"), 422)
    if ids and done in ("approve", "reject"):
        handler = api.approve_many if done == "approve" else api.reject_many
        await handler(visit.call(validate(api.ManyEnrolments, {"ids": ids[:500]})))
    return go(back)


async def part_lists(visit: Visit) -> dict[str, Any]:
    store, now = visit.context.store, visit.now
    waiting = await enrolments.enrolments_in(store, "waiting")
    newest = [row for row in await enrolments.enrolments_in(store, None) if row.state != "waiting"][:SHOWN_DECIDED]
    codes = await enrolments.usable_codes(store, now)
    return {
        "waiting": [_came(visit, row) for row in waiting],
        "decided": [_came(visit, row) for row in newest],
        "codes": [_code(visit, row) for row in codes],
        "until": min((epoch_ms(row.expires_at) for row in codes), default=None),
    }


def _code(visit: Visit, row: EnrolmentCodeRow) -> dict[str, Any]:
    machine = machine_of(visit.context, row.rvm_id)
    return {
        "id": row.id, "prefix": row.prefix, "name": row.name, "uses": row.uses, "used": row.used,
        "approval": row.approval, "expires": epoch_ms(row.expires_at),
        "machine": None if machine is None else (machine.id, machine.name),
    }  # fmt: skip


def _came(visit: Visit, row: EnrolmentRow) -> dict[str, Any]:
    machine = visit.context.fleet.by_key_prefix(row.key_prefix) or machine_of(visit.context, row.rvm_id)
    return {
        "id": row.id, "state": row.state, "fingerprint": fingerprint(row.key_hash), "hostname": row.hostname,
        "board": " · ".join(text for text in (row.model, row.l4t and f"L4T {row.l4t}", row.board_serial) if text),
        "ip": row.ip_address, "at": epoch_ms(row.created_at), "seen": epoch_ms(row.last_seen_at),
        "machine": None if machine is None else (machine.id, machine.name),
    }  # fmt: skip


# --- one machine ------------------------------------------------------------------------------------------------------


async def add_machine(visit: Visit) -> Response:
    """A machine whose key nobody has seen, and its code."""
    given = {"name": visit.form.get("name", "").strip(), "site": visit.form.get("location_description", "").strip()}
    wanted: dict[str, Any] = {"name": given["name"]}
    if given["site"]:
        wanted["location_description"] = given["site"]
    async with visit.context[FreshSecrets].lock:
        try:
            answer = await machines.add_machine(visit.call(validate(machines.NewMachine, wanted)))
        except (Problem, Conflict) as refused:
            twin = _just_added(visit, given["name"])
            if twin is not None:  # the form came twice
                return go(_place(twin.id))
            known = isinstance(refused, Problem) and refused.status != 409
            fault = visit.sentence(refused) if known and isinstance(refused, Problem) else None
            return visit.render(
                "add.html", refused.status if isinstance(refused, Problem) else 409,
                first=not visit.context.fleet.machines, given=given,
                fault=fault or visit.reader.t("fault.name_taken"), may_add=True,
            )  # fmt: skip
        await _make_code(visit, answer.data["id"])
    return go(_place(answer.data["id"]))


def _just_added(visit: Visit, name: str) -> Machine | None:
    named = (m for m in visit.context.fleet.machines.values() if m.row.name == machine_rules.composed(name))
    return next((m for m in named if visit.context[FreshSecrets].find(visit.user, _place(m.id)) is not None), None)


def _place(rvm_id: int) -> str:
    return f"/machines/{rvm_id}/enrol"


async def _make_code(visit: Visit, rvm_id: int) -> None:
    answer = await api.make_code(visit.call(api.NewCode(rvm_id=rvm_id)))
    visit.context[FreshSecrets].keep(visit.user, _place(rvm_id), answer.data["code"])


async def show_machine(visit: Visit) -> Response:
    found = visit.machine()
    code = visit.context[FreshSecrets].find(visit.user, _place(found.id))
    boards = (machine_rules.board_words(found.row.board), machine_rules.board_words(found.row.board_other))
    return visit.render(
        "machine_enrol.html",
        boards=boards,
        question=machine_view(found)["board_question"],
        **_shown_code(visit, code),
        **await part_steps(visit),
    )


async def decide_board(visit: Visit) -> Response:
    handlers = {"accept": api.accept_board, "refuse": api.refuse_board}
    found = visit.machine()
    handler = handlers.get(visit.form.get("do", ""))
    if handler is not None and found.row.board_other_at is not None:
        await handler(visit.call(machine=found))
    return go(_place(found.id))


async def to_machine_enrolment(visit: Visit) -> Response:
    return go(_place(visit.machine().id))


async def make_machine_code(visit: Visit) -> Response:
    found = visit.machine()
    row = await enrolments.newest_code_for(visit.context.store, found.id)
    if visit.form.get("instead_of", "") == ("" if row is None else str(row.id)):
        if row is not None and rules.code_fault(row, visit.now) is None:
            await visit.call().announce(*rules.revoke_code(row, visit.user.actor, visit.now))
        await _make_code(visit, found.id)
    return go(_place(found.id))


async def part_steps(visit: Visit) -> Mapping[str, Any]:
    """How far the newest code of this machine has brought it."""
    found, now = visit.machine(), visit.now
    row = await enrolments.newest_code_for(visit.context.store, found.id)
    came = [] if row is None else await enrolments.enrolments_with(visit.context.store, row.id)
    newest = _came(visit, came[0]) if came else None
    usable = row is not None and rules.code_fault(row, now) is None
    late = None if row is None else row.created_at + PATIENCE
    until = None
    if usable and row is not None and late is not None:
        until = epoch_ms(row.expires_at if now >= late else late)
    is_in = newest["state"] == "approved" if newest is not None else not usable
    return {
        "m": found.row, "code_id": "" if row is None else row.id, "usable": usable, "came": newest,
        "expires": None if row is None else epoch_ms(row.expires_at), "until": until,
        "late": usable and newest is None and late is not None and now >= late,
        "receiving": is_in and found.connection in ("live", "late") and found.readings is not None,
        "connected": is_in and found.connection in ("live", "late"), "hub_at": base_url(visit),
    }  # fmt: skip
