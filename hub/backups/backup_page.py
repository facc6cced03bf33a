"""`/machines/{id}/backups/{backup_id}`: one backup with its chain, report and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from archive.errors import printable
from dashboard import backups as texts
from dashboard.event_reading import moment
from db.backup_records import BackupRow
from db.queries import backups as rows
from hub.backups import api, care_api, download_api, files_api
from hub.backups.page import as_problem, judged, lines
from hub.backups.rules import life
from hub.commands import cards
from hub.commands.rules import Refused
from hub.machines import tab
from hub.machines.rules import is_name
from hub.model.machine import Machine
from hub.model.views import machine_view
from hub.web.api.endpoint import permit
from hub.web.http.problems import Problem
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go

MOST_OF_CHAIN: Final = 40


class ShownFile(NamedTuple):
    """`address`: of a folder; `restore`: of the form that restores it alone."""

    name: str
    address: str
    restore: str
    size: str
    changed: str
    note: str


class Listing(NamedTuple):
    """`why`: the sentence where there is none; `steps`: the way to the folder, (name, address)."""

    why: str
    here: str
    steps: tuple[tuple[str, str], ...] = ()
    files: tuple[ShownFile, ...] = ()
    deleted: tuple[str, ...] = ()
    more: str = ""


async def show_backup(visit: Visit) -> Response:
    return await _page(visit, visit.machine())


async def _page(visit: Visit, found: Machine, fault: str = "", status: int = 200, notice: str = "") -> Response:
    row = await api.find(visit.call(machine=found))
    head = await tab.head(visit, found)
    values = {**await _whole(visit, found, row), "m": head["m"], "listing": await _listing(visit, found, row)}
    values["may_restore"] = any(offer.name == "restore" and not offer.locked for offer in values["b"].offers)
    return visit.render("backup.html", status, **values, head_of=head, fault=fault, notice=notice)


async def part_backup(visit: Visit) -> dict[str, Any]:
    found = visit.machine()
    return await _whole(visit, found, await api.find(visit.call(machine=found)))


async def _whole(visit: Visit, found: Machine, row: BackupRow) -> dict[str, Any]:
    in_chain = await rows.chain(visit.context.store, found.id, row.chain_id or row.id)
    others = [one for one in in_chain if one.id != row.id][-MOST_OF_CHAIN:]
    shown = {line.id: line for line in await lines(visit, found, [row, *others])}
    of = judged(row)
    report, more = texts.report(visit.reader, of)
    return {
        "m": machine_view(found, times="ms"),
        "b": shown[row.id],
        "facts": texts.facts(visit.reader, of, tab.zone_of(visit.reader, found)),
        "chain": [shown[one.id] for one in sorted((row, *others), key=lambda one: one.chain_position or 0)],
        "needed": [one.id for one in life.needing(row, in_chain)],
        "report": report,
        "report_more": more,
    }


async def _listing(visit: Visit, found: Machine, row: BackupRow) -> Listing:
    here, t = f"/machines/{found.id}/backups/{row.id}", visit.reader.t
    if row.encrypted or row.manifest_key is None or row.deleted_at is not None:
        why = "gone" if row.deleted_at is not None else "encrypted" if row.encrypted else "later"
        return Listing(t(f"backup.files.{why}"), here)
    params = visit.request.query_params
    try:
        wanted = {"folder": params.get("folder", ""), **({"after": params["after"]} if "after" in params else {})}
        query = validate(files_api.FilesQuery, wanted)
        listed = (await files_api.list_files(visit.call(machine=found, query=query))).data
    except Problem as refused:
        return Listing(visit.sentence(refused), here)
    folder, zone = listed["folder"], tab.zone_of(visit.reader, found)
    return Listing(
        why="",
        here=here,
        steps=tuple((name, _folder(here, path)) for name, path in texts.folders(folder)),
        files=tuple(_shown_file(visit, here, folder, entry, zone) for entry in listed["entries"]),
        deleted=tuple(map(printable, listed["deleted"])),
        more="" if listed["next"] is None else _folder(here, folder, listed["next"]),
    )


def _folder(here: str, path: str, after: str | None = None) -> str:
    return f"{here}?{urlencode({'folder': path} if after is None else {'folder': path, 'after': after})}"


def _shown_file(visit: Visit, here: str, folder: str, entry: Mapping[str, Any], zone: str) -> ShownFile:
    r, is_folder = visit.reader, entry["kind"] == "dir"
    path = f"{folder}/{entry['name']}".strip("/")
    mark = r.text_of("backup.report", entry["mark"]) if entry["mark"] else ""
    return ShownFile(
        name=printable(entry["name"]),
        address=_folder(here, path) if is_folder else "",
        restore=f"{here}/restore?{urlencode({'path': path})}",
        size="" if is_folder else r.amount(entry["size"]),
        changed=moment(r, entry["mtime"], zone),
        note=mark or (f"→ {printable(entry['link'])}" if entry["link"] else ""),
    )


async def to_backup(visit: Visit) -> Response:
    found = visit.machine()
    row = await api.find(visit.call(machine=found))
    return go(f"/machines/{found.id}/backups/{row.id}")


async def download(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "backup.download", found.id)
    try:
        link: Mapping[str, str] = (await download_api.make_link(visit.call(machine=found))).data
    except Problem as refused:
        return await _page(visit, found, visit.sentence(refused), refused.status)
    return go(link["url"])


async def verify(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "backup.verify", found.id)
    try:
        await care_api.verify_backup(cards.once(visit, found, None))
    except (Problem, Refused) as refused:
        problem = as_problem(refused)
        return await _page(visit, found, visit.sentence(problem), problem.status)
    return await _page(visit, found, notice=visit.reader.t("backup.verify.asked"))


async def delete(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "backup.delete", found.id)
    if not is_name(visit.form.get("confirm", "").strip(), found.name):
        return await _page(visit, found, visit.reader.t("restore.fault.confirm", name=found.name), 422)
    query = api.DeletionWanted(chain=bool(visit.form.get("chain")))
    try:
        await api.delete_backup(visit.call(machine=found, query=query))
    except (Problem, Refused) as refused:
        problem = as_problem(refused)
        return await _page(visit, found, visit.sentence(problem), problem.status)
    return go(f"/machines/{found.id}/backups")
