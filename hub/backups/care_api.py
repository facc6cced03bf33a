"""/backups/statistics, /backups/alerts and .../verify: how well the fleet is backed up, and drills on request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from db.queries import backup_drills
from hub.backups.api import UploadStatus, find
from hub.backups.drill import VERIFY, Drills
from hub.backups.keeper import BackupKeeper
from hub.backups.rules import drill as drill_rules
from hub.backups.rules import keep
from hub.backups.rules.keep import QuotaForecast
from hub.commands import service
from hub.commands.api import CommandView
from hub.commands.service import HEADER
from hub.model import views
from hub.model.backups import (
    brings_nothing_back,
    is_backed_up,
    is_late,
    is_there,
    is_unverified,
    last_good,
    open_backup,
)  # fmt: skip
from hub.model.machine import Machine
from hub.model.views import rfc3339
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text
from hub.web.http.validation import Instant


class VerificationBegun(msgspec.Struct):
    """`by` the hub or the machine, where the hub cannot read the backup; then with `command`."""

    backup_id: int
    upload_status: UploadStatus
    by: Literal["hub", "machine"]
    command: CommandView | None


class BackedUpMachines(msgspec.Struct):
    """`scheduled`: asked by schedule; of them `good`, `only_agent` (no file is in it, or the agent's own alone),
    `never` (none at all), `late` (no good backup for two intervals and a day) and `unverified` (good ones, but none was
    restored and compared for so long). `running`: a backup is open."""

    all: int
    scheduled: int
    good: int
    only_agent: int
    late: int
    unverified: int
    never: int
    running: int


class BackupBytes(msgspec.Struct):
    """`quota` 0: none. `a_day`: bytes of the last two weeks. `full_at`: when the quota is reached at that rate;
    null: not within 90 days. Counted once an hour."""

    used: int
    quota: int
    a_day: int
    full_at: Instant | None


class MachineBackupBytes(BackupBytes):
    rvm_id: int


class BackupStatistics(msgspec.Struct):
    """Of the machines that the caller reaches; `fleet` only for those who reach all. `counted_at`: null, as `fleet` is,
    in the first minutes of a hub. `backups`: by state. `drill`: the backup being restored now."""

    machines: BackedUpMachines
    backups: dict[UploadStatus, int]
    fleet: BackupBytes | None
    machines_bytes: list[MachineBackupBytes]
    counted_at: Instant | None
    drill: int | None


class BackupAlert(msgspec.Struct):
    """`no_good_backup` since then (`backup_id`: the last good one), `unverified` (good ones come, none was restored and
    compared since then), `only_agent` (that has no file, or the agent's
    own alone), `drill_failed` of that backup, `quota` (the machine's) or `fleet_quota` (`rvm_id` null), which will be
    reached at `since`."""

    code: Literal["no_good_backup", "unverified", "only_agent", "drill_failed", "quota", "fleet_quota"]
    rvm_id: int | None
    name: str | None
    since: Instant
    backup_id: int | None


async def verify_backup(call: Call) -> Answer:
    row, drills = await find(call), call.context[Drills]
    if not is_there(row):
        raise Problem("conflict", Text("backup.no_archive"))
    command = None
    if await drills.is_readable(row):
        await call.context.announce(*drill_rules.asked(row, call.principal.actor, call.now))
        drills.wake()
    else:
        command = await service.issue(call, VERIFY, {"backup_id": row.id})
    begun = {
        "backup_id": row.id, "upload_status": row.upload_status, "by": "hub" if command is None else "machine",
        "command": None if command is None else views.command_view(command),
    }  # fmt: skip
    return Answer(begun, 202, Text("backup.verify_begun"))


def _reached(call: Call) -> list[Machine]:
    return [machine for machine in call.context.fleet.machines.values() if call.principal.reaches(machine.id)]


async def show_statistics(call: Call) -> Answer:
    machines, keeper = _reached(call), call.context[BackupKeeper]
    counts = dict.fromkeys(("pending", "uploading", "completed", "verified", "failed"), 0)
    for (rvm_id, status), count in (await backup_drills.counts(call.context.store)).items():
        if call.principal.reaches(rvm_id) and status in counts:
            counts[status] += count
    found = [(machine.id, keeper.forecasts[machine.id]) for machine in machines if machine.id in keeper.forecasts]
    fleet = keeper.forecast if call.principal.machines is None else None
    return Answer(
        {
            "machines": machine_counts(machines, call.now),
            "backups": counts,
            "fleet": None if fleet is None else _bytes(fleet),
            "machines_bytes": [{"rvm_id": rvm_id, **_bytes(forecast)} for rvm_id, forecast in found],
            "counted_at": None if keeper.counted_at is None else rfc3339(keeper.counted_at),
            "drill": call.context[Drills].running,
        }
    )


def machine_counts(machines: Sequence[Machine], now: datetime) -> dict[str, int]:
    scheduled = [machine for machine in machines if is_backed_up(machine)]
    good = [last_good(machine.backups) for machine in scheduled]
    alone = sum(row is not None and brings_nothing_back(row) for row in good)
    return {
        "all": len(machines),
        "scheduled": len(scheduled),
        "good": sum(row is not None for row in good) - alone,
        "only_agent": alone,
        "late": sum(is_late(machine, now) for machine in scheduled),
        "unverified": sum(is_unverified(machine, now) for machine in scheduled),
        "never": sum(row is None for row in good),
        "running": sum(open_backup(machine.backups) is not None for machine in machines),
    }


def _bytes(found: QuotaForecast) -> dict[str, object]:
    return {**found._asdict(), "full_at": None if found.full_at is None else rfc3339(found.full_at)}


async def list_alerts(call: Call) -> Answer:
    keeper = call.context[BackupKeeper]
    alerts: list[dict[str, Any]] = []
    for machine in _reached(call):
        found = keep.alerts_of(machine, keeper.forecasts.get(machine.id), call.now)
        alerts += [{"rvm_id": machine.id, "name": machine.name, **alert._asdict()} for alert in found]
    fleet = keeper.forecast
    if call.principal.machines is None and fleet is not None and keep.is_near(fleet, call.now):
        alerts.append({
            "rvm_id": None, "name": None, "code": "fleet_quota", "since": fleet.full_at, "backup_id": None,
        })  # fmt: skip
    ordered = sorted(alerts, key=lambda alert: (ORDER.index(alert["code"]), alert["since"]))
    return Answer([{**alert, "since": rfc3339(alert["since"])} for alert in ordered])


ORDER = ("drill_failed", "no_good_backup", "unverified", "only_agent", "fleet_quota", "quota")
_TAG = "Backups"

OPERATIONS = (
    Operation(
        name="verify_backup", method="POST", path="/v2/rvms/{id}/backups/{backup_id}/verify", handler=verify_backup,
        tag=_TAG, summary="Restore a backup as a test and compare every file", action="backup.verify",
        answers={202: VerificationBegun}, refusals=(409,), parameters={HEADER: "A repeat asks the machine once."},
        description="Each backup is drilled so after its upload, and one a week again. The backup has the result: "
        "`verified_at`, or `drill_error`. 409 where there is no archive (any more), or where only the machine can read "
        "it and is away.",
    ),
    Operation(
        name="show_backup_statistics", method="GET", path="/v2/backups/statistics", handler=show_statistics, tag=_TAG,
        summary="How well machines are backed up, and what that takes", action="backup.read",
        answers={200: BackupStatistics},
    ),
    Operation(
        name="list_backup_alerts", method="GET", path="/v2/backups/alerts", handler=list_alerts, tag=_TAG,
        summary="What is wrong with machines' backups now", action="backup.read", answers={200: list[BackupAlert]},
    ),
)  # fmt: skip
