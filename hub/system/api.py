"""GET /health: this process lives. GET /ready: it can work, with a database to read and write. GET /system: how the hub
itself is."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import anyio
import msgspec

from db.errors import StoreError
from db.queries import users
from hub.backups.keeper import GIB, BackupKeeper
from hub.backups.rules import keep
from hub.kernel.context import HubContext
from hub.links.links import Links
from hub.model.views import rfc3339
from hub.server.tls import HubTls, pinned_by
from hub.system import rules
from hub.system.rules import SystemFacts
from hub.system.service import HubLoad, look_at_disk, size_of
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text
from hub.web.http.validation import Instant

READY_WITHIN_S = 4.0
RETRY_S = 5.0
WRITES_STALL_AFTER_S = 3.0
MOST_NAMED = 100
"""Machines that lack the authority."""


class ConnectedMachines(msgspec.Struct):
    """By connection. `links`: those that hold a link to this hub."""

    live: int
    late: int
    offline: int
    never: int
    links: int


class HubThroughput(msgspec.Struct):
    """Of the last 10 s. `waiting`: samples that are not stored yet; `browsers`: pages that are open."""

    frames_per_s: float
    samples_per_s: float
    waiting: int
    browsers: int


class HubLag(msgspec.Struct):
    """How late the hub's one thread comes to its turn: in 19 of 20 turns of the last minute, and at most of the last
    two."""

    p95_s: float
    longest_s: float


class HubDatabase(msgspec.Struct):
    """`size_bytes` null: it does not answer. `stalled_s`: since when nothing could be written."""

    kind: Literal["sqlite", "postgresql"]
    size_bytes: int | None
    stalled_s: float


class HubDisk(msgspec.Struct):
    """Of the data folder."""

    free_bytes: int | None
    total_bytes: int | None


class NewestHubBackup(msgspec.Struct):
    """The newest backup of the hub itself (`run_hub.py backup`)."""

    made_at: Instant
    file: str
    bytes: int


class BackupQuota(msgspec.Struct):
    """Of all machines' backups together; `quota_bytes` 0: none. Counted once an hour; `used_bytes` null: not yet."""

    used_bytes: int | None
    quota_bytes: int
    full_at: Instant | None


class HubCertificate(msgspec.Struct):
    """What the hub's own TLS shows; none: a proxy ends TLS. `refused`: why the newest files are not in use."""

    names: list[str]
    issuer: str
    not_after: Instant
    fingerprint: str
    refused: str


class AuthorityReport(msgspec.Struct):
    """The hub's private authority, for machines to pin; null and none: a public one, or a proxy's. `certificates` is
    PEM; `fingerprints` are SHA-256 of each."""

    certificates: str | None
    fingerprints: list[str]


class MachineOfOtherAuthority(msgspec.Struct):
    """It pins others than the hub's present ones. `connection`: one that is offline gets them when it comes back."""

    id: int
    device_id: str
    name: str
    connection: str


class AuthorityUse(msgspec.Struct):
    """Of the machines that pin an authority of the hub, how many trust exactly its present ones. Before an exchange
    goes on, all should: `missing` names those that do not, 100 at most."""

    fingerprints: list[str]
    pinned: int
    current: int
    missing: list[MachineOfOtherAuthority]


class ExpiringPart(msgspec.Struct):
    """`code` is among the warnings. `since`: when it began. `renew`: the command on the computer of the authority;
    "": the hub cannot know it."""

    code: str
    part: Literal["certificate", "authority", "client_authority", "crl"]
    since: Instant
    not_after: Instant
    renew: str


class SystemReport(msgspec.Struct):
    """`warnings` are codes, worst first: database_away, certificate_expired, certificate_refused,
    certificate_very_soon, certificate_soon (likewise of authority, client_authority, crl), disk_low, queue_long,
    lagging, backups_full, never_backed_up, backup_old."""

    version: str
    started_at: Instant
    machines: ConnectedMachines
    load: HubThroughput
    lag: HubLag
    database: HubDatabase
    disk: HubDisk
    last_backup: NewestHubBackup | None
    backups: BackupQuota
    recordings_mib_per_machine: int
    certificate: HubCertificate | None
    authority: AuthorityUse | None
    expiring: list[ExpiringPart]
    warnings: list[str]


async def show_system(call: Call) -> Answer:
    return Answer(await report(call))


async def report(call: Call) -> dict[str, Any]:
    context, load, tls = call.context, call.context[HubLoad], call.context[HubTls]
    served, expiring = tls.served, tls.warnings(call.now)
    disk = await anyio.to_thread.run_sync(look_at_disk, context.settings)
    lag, frames = call.request.app.state.loop_lag, load.per_second()
    counts = Counter(machine.connection for machine in context.fleet.machines.values())
    quota, lane = context[BackupKeeper].forecast, context.announce.lane
    full_at = quota.full_at if quota is not None and keep.is_near(quota, call.now) else None
    made = disk.last_backup
    facts = SystemFacts(
        lag_p95_s=rules.percentile(lag.turns, 0.95),
        waiting=lane.pending,
        stalled_s=context.announce.stalled_s,
        free_bytes=disk.free_bytes,
        total_bytes=disk.total_bytes,
        backed_up_at=None if made is None else made.made_at,
        full_at=full_at,
        tls=tuple(one.code for one in expiring),
    )
    return {
        "version": context.version,
        "started_at": rfc3339(load.started_at),
        "machines": {name: counts[name] for name in ("live", "late", "offline", "never")}
        | {"links": len(context[Links])},
        "load": {
            "frames_per_s": round(frames[0], 1), "samples_per_s": round(frames[1], 1), "waiting": lane.pending,
            "browsers": len(context.feed),
        },
        "lag": {"p95_s": round(facts.lag_p95_s, 4), "longest_s": round(lag.recent_s, 3)},
        "database": {
            "kind": context.store.dialect, "size_bytes": await size_of(context.store),
            "stalled_s": round(facts.stalled_s, 1),
        },
        "disk": {"free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes},
        "last_backup": None if made is None else made._asdict() | {"made_at": rfc3339(made.made_at)},
        "backups": {
            "used_bytes": None if quota is None else quota.used,
            "quota_bytes": context.settings.backup_fleet_quota_gib * GIB,
            "full_at": None if full_at is None else rfc3339(full_at),
        },
        "recordings_mib_per_machine": context.settings.recordings_mib_per_machine,
        "certificate": None if served is None else {
            "names": list(served.names), "issuer": served.issuer, "not_after": rfc3339(served.not_after),
            "fingerprint": served.fingerprint, "refused": tls.refused,
        },
        "authority": _authority_use(context),
        "expiring": [
            {
                "code": one.code, "part": one.part, "since": rfc3339(one.since), "not_after": rfc3339(one.ends_at),
                "renew": one.renew,
            }
            for one in expiring
        ],
        "warnings": rules.warnings(facts, call.now),
    }  # fmt: skip


def _authority_use(context: HubContext) -> dict[str, Any] | None:
    bundle = context[HubTls].authority
    if bundle is None:
        return None
    wanted = list(bundle.fingerprints)
    has = [(one, own) for one in context.fleet.machines.values() if (own := pinned_by(one.row.hardware)) is not None]
    missing = [one for one, own in has if own != wanted]
    named = [
        {"id": one.id, "device_id": one.row.device_id, "name": one.name, "connection": one.connection}
        for one in sorted(missing, key=lambda one: one.id)[:MOST_NAMED]
    ]
    return {"fingerprints": wanted, "pinned": len(has), "current": len(has) - len(missing), "missing": named}


async def show_authority(call: Call) -> Answer:
    """Before a machine trusts the hub: it compares the fingerprint that a person gave it."""
    bundle = call.context[HubTls].authority
    if bundle is None:
        return Answer({"certificates": None, "fingerprints": []})
    return Answer({"certificates": bundle.pem, "fingerprints": list(bundle.fingerprints)})


class Health(msgspec.Struct):
    status: Literal["ok"]
    version: str


class Readiness(Health):
    """`longest_block_s`: the event loop's longest stall in the last minute or two."""

    longest_block_s: float


async def health(call: Call) -> Answer:
    return Answer({"status": "ok", "version": call.context.version})


async def ready(call: Call) -> Answer:
    try:
        with anyio.fail_after(READY_WITHIN_S):
            await users.count_users(call.context.store)
    except (StoreError, TimeoutError) as away:
        raise _away() from away
    if call.context.announce.stalled_s > WRITES_STALL_AFTER_S:
        raise _away()  # it may be read and not written: another program holds the lock, the disk is full
    longest = round(call.request.app.state.loop_lag.recent_s, 3)
    return Answer({"status": "ok", "version": call.context.version, "longest_block_s": longest})


def _away() -> Problem:
    return Problem("unavailable", Text("database_away"), retry_after=RETRY_S)


OPERATIONS = (
    Operation(
        name="health", method="GET", path="/health", handler=health, tag="Hub", summary="The hub lives",
        action=None, answers={200: Health},
    ),
    Operation(
        name="ready", method="GET", path="/ready", handler=ready, tag="Hub",
        summary="The hub can work: its database answers", action=None, answers={200: Readiness}, refusals=(503,),
    ),
    Operation(
        name="show_authority", method="GET", path="/v2/authority", handler=show_authority, tag="Hub",
        summary="The hub's private authority, for machines to pin", action=None, answers={200: AuthorityReport},
    ),
    Operation(
        name="show_system", method="GET", path="/v2/system", handler=show_system, tag="Hub",
        summary="How the hub itself is: load, lag, database, disk, its own backup", action="system.read",
        answers={200: SystemReport},
    ),
)  # fmt: skip
