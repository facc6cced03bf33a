"""`/machines/{id}/backups/{backup_id}/restore` and `/machines/{id}/restores/{restore_id}`: choose, preview, restore,
follow."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dashboard import backups as texts
from dashboard import restores
from db.backup_records import RestoreRow
from db.queries import backups as rows
from hub.backups import api, restore_api
from hub.backups.page import as_problem, in_ms, lines, why_machine_cannot
from hub.backups.rules.restore import OPEN_RESTORE, as_its_command
from hub.commands import cards
from hub.commands.rules import Refused
from hub.machines import tab
from hub.machines.rules import is_name
from hub.model.access import role_needed
from hub.model.machine import Machine
from hub.model.views import machine_view
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go, who
from protocol.limits import MAX_RESTORE_PATHS


async def show_form(visit: Visit) -> Response:
    return await _form(visit, visit.machine())


async def _form(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    """`fault`: the sentence of a refused form, which is shown as sent."""
    row = await api.find(visit.call(machine=found))
    head = await tab.head(visit, found)
    (line,) = await lines(visit, found, [row])
    locked = next(offer.locked for offer in line.offers if offer.name == "restore")
    sent = visit.request.method == "POST"
    given = {
        "classes": _chosen(visit) if sent else texts.CLASSES,
        "paths": visit.form.get("paths", "") if sent else visit.request.query_params.get("path", ""),
    }
    return visit.render(
        "restore.html", status, m=head["m"], head_of=head, fault=fault, b=line, classes=texts.CLASSES, given=given,
        locked=locked, role=role_needed("backup.restore"),
    )  # fmt: skip


def _chosen(visit: Visit) -> list[str]:
    return [value for name, value in visit.fields if name == "class" and value in texts.CLASSES]


async def preview(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "backup.restore", found.id)
    paths = list(dict.fromkeys(line.strip().strip("/") for line in visit.form.get("paths", "").splitlines()))
    paths, chosen = [path for path in paths if path], _chosen(visit)
    if not chosen and not paths:
        return await _form(visit, found, visit.reader.t("restore.fault.classes"), 422)
    if len(paths) > MAX_RESTORE_PATHS:
        return await _form(visit, found, visit.reader.t("restore.fault.paths", n=MAX_RESTORE_PATHS), 422)
    wanted: dict[str, Any] = {"dry_run": True}
    if paths:
        wanted["paths"] = paths
    elif len(chosen) < len(texts.CLASSES):
        wanted["classes"] = chosen
    asked = await _ask(visit, found, (await api.find(visit.call(machine=found))).id, wanted)
    if isinstance(asked, Problem):
        return await _form(visit, found, visit.sentence(asked), asked.status)
    return asked


async def _ask(visit: Visit, found: Machine, backup_id: int, wanted: dict[str, Any]) -> Response | Problem:
    """Leads to the restore that was asked for, also by the press before; else why it may not be."""
    visit.request.path_params["backup_id"] = str(backup_id)
    try:
        call = visit.call(validate(restore_api.RestoreRequest, wanted), machine=found)
        restore_id = (await restore_api.restore_backup(call)).data["id"]
    except (Problem, Refused) as refused:
        before = await _pressed_before(visit, found, backup_id, dry_run=wanted["dry_run"])
        if before is None:
            return as_problem(refused)
        restore_id = before.id
    return go(f"/machines/{found.id}/restores/{restore_id}")


async def _pressed_before(visit: Visit, found: Machine, backup_id: int, *, dry_run: bool) -> RestoreRow | None:
    """The same request by the same person: buttons get pressed twice."""
    newest = next(iter(await rows.restores_of(visit.context.store, found.id, 1)), None)
    if newest is None or newest.state not in OPEN_RESTORE or newest.requested_by != visit.user.actor:
        return None
    return newest if (newest.backup_id, newest.dry_run) == (backup_id, dry_run) else None


async def show_restore(visit: Visit) -> Response:
    return await _page(visit, visit.machine())


async def to_restore(visit: Visit) -> Response:
    found = visit.machine()
    return go(f"/machines/{found.id}/restores/{(await restore_api.find_restore(visit.call(machine=found))).id}")


async def _page(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    head = await tab.head(visit, found)
    values = {**await part_restore(visit), "m": head["m"]}
    return visit.render("restored.html", status, **values, head_of=head, fault=fault)


async def part_restore(visit: Visit) -> dict[str, Any]:
    found, form = visit.machine(), visit.form
    call = visit.call(machine=found)
    stored = await restore_api.find_restore(call)
    command = await restore_api.command_of(call, stored)
    row = as_its_command(stored, command, visit.now)
    names = await tab.people(visit, found, {row.requested_by})
    shown = [] if command is None else cards.shown(visit, [command], names)
    return {
        "m": machine_view(found, times="ms"),
        "s": restores.shown(
            visit.reader, in_ms(row), by=who(visit.reader, row.requested_by, names),
            zone=tab.zone_of(visit.reader, found), job=shown[0].card if shown else None,
            place=f"/machines/{found.id}/backups",
        ),
        "locked": "role" if not visit.may("backup.restore", found.id) else why_machine_cannot(found),
        "role": role_needed("backup.restore"),
        "given": {"reason": form.get("reason", ""), "safety": "reason" not in form or bool(form.get("safety"))},
    }  # fmt: skip


async def restore(visit: Visit) -> Response:
    found, form = visit.machine(), visit.form
    permit(visit.user, "backup.restore", found.id)
    row = await restore_api.find_restore(visit.call(machine=found))
    reason, name = form.get("reason", "").strip(), form.get("confirm", "").strip()
    if not reason:
        return await _page(visit, found, visit.reader.t("reason.missing"), 422)
    if not is_name(name, found.name):
        return await _page(visit, found, visit.reader.t("restore.fault.confirm", name=found.name), 422)
    wanted = {"dry_run": False, "confirm": name, "reason": reason, "safety": bool(form.get("safety"))}
    wanted |= {"classes": list(row.classes)} if row.classes else {}
    wanted |= {"paths": list(row.paths)} if row.paths else {}
    asked = await _ask(visit, found, row.backup_id, wanted)
    if isinstance(asked, Problem):
        return await _page(visit, found, visit.sentence(asked), asked.status)
    return asked
