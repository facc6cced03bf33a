"""`sync_timezone`: find, set and verify the machine's zone now, in three steps the operator sees."""

from __future__ import annotations

import msgspec

from device.commands.job import Job, Result, WorkFailed, WorkHandler, WorkRejected
from device.timezone.sync import TimezoneSyncClient
from protocol.commands import SyncTimezone
from protocol.zones import is_zone


def sync_timezone_handler(client: TimezoneSyncClient) -> WorkHandler:
    """The command as the router wants it. Until the zone is set it can be withdrawn, and a restart repeats it."""

    async def run(args: SyncTimezone, job: Job) -> Result:
        if not client.allows_manual:
            raise WorkRejected("manual_sync_disabled", "manual_sync_enabled is off in this machine's configuration")
        if args.timezone is not None and not is_zone(args.timezone):
            raise WorkRejected("unknown_zone", f"{args.timezone} is no name of the IANA time zone database")
        if args.timezone is not None and client.pinned not in ("", args.timezone):
            pin = f"{client.pinned} is pinned in this machine's settings (pinned_timezone)"
            raise WorkRejected("pinned", f"{pin}: change the pin there, or take it away and ask again")

        async def step(phase: str) -> None:
            if phase == "setting":
                await job.begin()
            else:
                job.check()
            job.progress(phase)

        report = await client.sync_timezone("manual", args.timezone, step)
        if report.error is not None:
            raise WorkFailed(report.error.code, report.error.message)
        told = msgspec.to_builtins(report)
        return {name: value for name, value in told.items() if name not in ("type", "sync_method", "timestamp")}

    return WorkHandler(run, begins_itself=True)
