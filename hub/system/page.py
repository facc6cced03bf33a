"""Shows /admin, what there is to administer, and /admin/system, how the hub itself is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from hub.model.views import epoch_ms
from hub.system import api
from hub.web.shell.page import ADMIN, Visit
from protocol.instants import parse

EVERY_MS: Final = 5000
NAMED: Final = 10
"""Machines that lack the authority; the others are counted."""


async def show_admin(visit: Visit) -> Response:
    """What a role may not see stays there, with the role that may."""
    pages = [(name, address, visit.may(action)) for name, address, action in ADMIN]
    found = await api.report(visit.call()) if visit.may("system.read") else None
    return visit.render("admin.html", pages=pages, warnings=[] if found is None else found["warnings"])


async def show_system(visit: Visit) -> Response:
    return visit.render("system.html", **await part_system(visit))


async def part_system(visit: Visit) -> dict[str, Any]:
    found = await api.report(visit.call())
    return {"s": found, "facts": _facts(visit, found), "until": visit.reader.now + EVERY_MS}


def _facts(visit: Visit, found: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Cards of named values, in the reader's language."""
    r, t = visit.reader, visit.reader.t
    machines, load, lag, database, disk = (found[name] for name in ("machines", "load", "lag", "database", "disk"))
    made, quota = found["last_backup"], found["backups"]
    recordings = r.amount(found["recordings_mib_per_machine"] * 2**20)

    def amount(size: int | None) -> str:
        return t("system.unknown") if size is None else r.amount(size)

    def ago(instant: str) -> str:
        return r.ago(epoch_ms(parse(instant)))

    return [
        ("machines", [
            *((t(f"connection.{name}"), r.number(machines[name])) for name in ("live", "late", "offline", "never")),
            (t("system.links"), r.number(machines["links"])),
        ]),
        ("load", [
            (t("system.frames"), t("system.per_s", n=r.number(load["frames_per_s"], 1))),
            (t("system.samples"), t("system.per_s", n=r.number(load["samples_per_s"], 1))),
            (t("system.browsers"), r.number(load["browsers"])),
            (t("system.lag"), t("system.ms", n=r.number(lag["p95_s"] * 1000))),
            (t("system.longest"), t("system.ms", n=r.number(lag["longest_s"] * 1000))),
        ]),
        ("database", [
            (t("system.kind"), {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[database["kind"]]),
            (t("system.size"), amount(database["size_bytes"])),
            (t("system.waiting"), r.number(load["waiting"])),
            (t("system.free"), t("system.of", part=amount(disk["free_bytes"]), whole=amount(disk["total_bytes"]))),
        ]),
        ("backups", [
            (t("system.own"), t("never_yet") if made is None else f"{ago(made['made_at'])}, {r.amount(made['bytes'])}"),
            (t("system.used"), amount(quota["used_bytes"])),
            (t("system.quota"), r.amount(quota["quota_bytes"]) if quota["quota_bytes"] else t("system.no_quota")),
            (t("system.recordings"), t("system.per_machine", size=recordings)),
        ]),
        *([] if found["certificate"] is None else [("tls", _certificate(visit, found))]),
        ("hub", [(t("system.version"), found["version"]), (t("system.started"), ago(found["started_at"]))]),
    ]  # fmt: skip


def _exchange(visit: Visit, use: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Whether the authority's exchange may go on, or for whom it has to wait."""
    t, left = visit.reader.t, use["pinned"] - use["current"]
    if not left:
        return [(t("system.tls.exchange"), t("system.tls.safe"))]
    named = [one["name"] for one in use["missing"][:NAMED]]
    more = [t("system.tls.more", n=visit.reader.number(left - len(named)))] if left > len(named) else []
    return [(t("system.tls.exchange"), t("system.tls.wait")), (t("system.tls.missing"), ", ".join(named + more))]


def _certificate(visit: Visit, found: Mapping[str, Any]) -> list[tuple[str, str]]:
    t, certificate, use = visit.reader.t, found["certificate"], found["authority"]
    shown = [
        (t("system.tls.names"), ", ".join(certificate["names"])),
        (t("system.tls.until"), visit.reader.date(epoch_ms(parse(certificate["not_after"])))),
        (t("system.tls.issuer"), certificate["issuer"]),
        (t("system.tls.fingerprint"), certificate["fingerprint"][:16]),
    ]
    if use is not None:
        current, pinned = (visit.reader.number(use[name]) for name in ("current", "pinned"))
        shown.append((t("system.tls.machines"), t("system.of", part=current, whole=pinned)))
        shown += _exchange(visit, use) if use["pinned"] else []
    return [*shown, (t("system.tls.refused"), certificate["refused"])] if certificate["refused"] else shown
