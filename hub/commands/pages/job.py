"""`/jobs/{id}`: one job with everything that is known of it, and its cancel form without script."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dashboard import jobs
from hub.commands import api, job_cards, service
from hub.commands.job_cards import Shown
from hub.commands.rules.draft import Refused
from hub.model.changes import Command
from hub.model.fleet import TERMINAL
from hub.web.api.endpoint import why_not
from hub.web.http.problems import Problem, Text
from hub.web.shell.page import Visit, go, who

Detail = tuple[str, str, str]
"""Name, value ("": not shown, the page may learn it later), and the address it leads to or ""."""


async def show_job(visit: Visit, fault: str = "", status: int = 200) -> Response:
    return visit.render("job.html", status, fault=fault, **await part(visit))


async def part_job(visit: Visit) -> dict[str, Any]:
    """The values `job_whole.html` takes."""
    command = await _job_named(visit)
    names = await job_cards.people(visit, {command.issued_by, command.cancel_by or ""})
    shown = job_cards.shown(visit, [command], names)[0]
    return {
        "s": shown,
        "details": _details(visit, command, shown, names),
        "deadline": visit.reader.day(shown.job["expires_at"], job_cards.zone_of(visit, shown.machine)),
        "result": jobs.result(visit.reader, command.result),
    }


async def cancel_job(visit: Visit) -> Response:
    """The form's way to the API's cancel; what could not be cancelled is said on the job's own page."""
    command = await _job_named(visit)
    if not visit.may("command.send", command.rvm_id):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.operator")}))
    try:
        await api.cancel_command(visit.call())
    except (Problem, Refused) as refused:
        problem = refused if isinstance(refused, Problem) else Problem("conflict", why_not(refused.code))
        return await show_job(visit, visit.say(problem), problem.status)
    return go(f"/jobs/{command.id}")


async def to_job(visit: Visit) -> Response:
    return go(f"/jobs/{(await _job_named(visit)).id}")


async def _job_named(visit: Visit) -> Command:
    return await service.find(visit.call(), visit.request.path_params["command_id"])


def _details(visit: Visit, command: Command, shown: Shown, names: dict[str, str]) -> list[Detail]:
    r, t, job, machine = visit.reader, visit.reader.t, shown.job, shown.machine
    zone = job_cards.zone_of(visit, machine)
    deadline = r.day(job["expires_at"], zone)
    if command.state not in TERMINAL and job["expires_at"] > r.now:
        deadline = t("job.deadline.open", time=deadline, age=r.span((job["expires_at"] - r.now) / 1000))
    return [
        ("machine", t("job.gone") if machine is None else machine.name, f"/machines/{machine.id}" if machine else ""),
        ("by", f"{who(r, command.issued_by, names)}, {r.stamp(job['issued_at'], zone)}", ""),
        ("reason", shown.card.reason, ""),
        ("forced", t("yes") if command.args.get("force") else "", ""),
        ("deadline", deadline, ""),
        ("cancelled_by", who(r, command.cancel_by, names) if command.cancel_by else "", ""),
        ("error_code", str((command.error or {}).get("code") or ""), ""),
        ("group", t("jobs.group") if command.group_id else "", f"/jobs?group={command.group_id}"),
        ("id", command.id, ""),
    ]
