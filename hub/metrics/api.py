"""/rvms/{id}/metrics: a machine uploads samples, people read its history in buckets."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

import anyio
import msgspec

from db.queries import samples
from db.records import BootRow
from db.rows import METRICS, SampleRow
from hub.kernel.context import HubContext
from hub.links.rules import newest_at
from hub.metrics import rules
from hub.metrics.rules import Fault, RestSample
from hub.model import views
from hub.model.budgets import ROW_BYTES, Cost, frames_of
from hub.model.changes import Put, SampleSeen, put_rows
from hub.model.machine import Boot, Machine
from hub.web.api.headers import bound, zone_of
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.download_slots import HistoryReads
from hub.web.http.problems import Problem, Text, invalid, one_wrong, translator
from hub.web.http.validation import Instant, InstantGiven, expectation
from protocol.limits import MAX_SAMPLES_PER_FRAME

MAX_UPLOAD_BYTES: Final = 1024 * 1024
COMMIT_WITHIN_S: Final = 5.0
MAX_NAMED: Final = 20
_LONGEST = timedelta(days=366)


class SamplesQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """`from` and `to` win over `days`; RFC 3339, naive ones in the zone of the machine's site (with its own
    key: of its clock)."""

    days: Annotated[float, msgspec.Meta(gt=0, le=366)] = 7.0
    start: InstantGiven | None = None
    end: InstantGiven | None = None
    points: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 720


class RejectedReading(msgspec.Struct):
    index: int
    field: str
    why: str


class Uploaded(msgspec.Struct):
    """`stored` samples are durable, `duplicates` were known, `clamped` came from a clock over ten minutes ahead.
    `rejected_count` counts all rejected members, `rejected` names the first twenty."""

    stored: int
    duplicates: int
    clamped: int
    rejected_count: int
    rejected: list[RejectedReading]


@of_record(SampleRow, without=("rvm_id", "boot", "seq", "throttled", "clamped", "created_at"))
class HistoryPoint(msgspec.Struct):
    """`count` samples from `timestamp` on: averages, and the band in `min` and `max`."""

    count: int
    min: dict[str, float]
    max: dict[str, float]


class History(msgspec.Struct):
    """At most `points` buckets of `bucket_s` seconds, oldest first; empty ones are left out."""

    rvm_id: int
    device_id: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    bucket_s: float
    samples: list[HistoryPoint]


def read_samples(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if not found or len(found) > MAX_SAMPLES_PER_FRAME:
        raise one_wrong("samples", "samples_wanted", most=MAX_SAMPLES_PER_FRAME)
    return found


def cost(call: Call) -> Cost:
    """In samples and unknown boots, not in requests."""
    named = {one["boot_id"] for one in call.body if isinstance(one, dict) and isinstance(one.get("boot_id"), str)}
    samples, new = len(call.body), len(named - call.machine.boots.keys())
    return Cost(frames_of(call.size) - 1, samples=samples, boots=new, stored_bytes=ROW_BYTES * samples)


async def upload(call: Call) -> Answer:
    context, machine = call.context, call.machine
    read, faults = rules.readable(call.body)
    boots = await _open_boots(call, machine, rules.boots_of(read))
    found, undated = rules.sort(machine, boots, read, call.now, machine.effective_settings.default_zone)
    faults = sorted(faults + undated, key=lambda fault: fault.place)
    if not found.kept and not found.duplicates:
        raise invalid({_place(call.body, fault): [_why(fault)] for fault in faults[:MAX_NAMED]})
    await _keep(context, boots, read, found)
    _show(context, machine, found, call.now)
    stored = len(found.kept)
    translate = translator(call.language)
    return Answer(
        Uploaded(
            stored=stored, duplicates=found.duplicates, clamped=found.clamped, rejected_count=len(faults),
            rejected=[RejectedReading(f.place, f.field, translate(_why(f))) for f in faults[:MAX_NAMED]],
        ),
        201,
    )  # fmt: skip


async def history(call: Call) -> Answer:
    query: SamplesQuery = call.query
    zone = zone_of(call)
    end = bound(call, "to", query.end, zone) or call.now
    start = bound(call, "from", query.start, zone) or end - timedelta(days=query.days)
    if not start < end or end - start > _LONGEST:
        raise one_wrong("from", "range_wrong", most=_LONGEST.days)
    found = await _read(call, start, end, query.points)
    data = {
        "rvm_id": call.machine.id, "device_id": call.machine.row.device_id, "from": views.rfc3339(start),
        "to": views.rfc3339(end), "bucket_s": (end - start).total_seconds() / query.points,
        "samples": [_point(bucket) for bucket in found],
    }  # fmt: skip
    return Answer(data)


async def _read(call: Call, start: datetime, end: datetime, points: int) -> list[samples.Bucket]:
    """Long ones in pieces, one at a time for each caller. Raises Problem (429)."""
    ask = partial(samples.history, call.context.store, call.machine.id, start, end, points)
    if end - start <= samples.PIECE:
        return await ask()
    who = call.principal.actor
    call.context[HistoryReads].begin(who)
    try:
        return await ask()
    finally:
        call.context[HistoryReads].end(who)


def _point(bucket: samples.Bucket) -> dict[str, Any]:
    spread = bucket.metrics
    return {
        "timestamp": views.rfc3339(bucket.start),
        "count": bucket.count,
        **{name: round(spread[name][1], 2) if name in spread else None for name in METRICS},
        "min": {name: least for name, (least, _, _) in spread.items()},
        "max": {name: most for name, (_, _, most) in spread.items()},
    }


async def _open_boots(call: Call, machine: Machine, boot_ids: list[str]) -> dict[str, Boot]:
    """With its row and the number stored so far; also the boot used last, where it was another."""
    if not boot_ids or [*machine.boots][-1:] == boot_ids:
        return {boot_id: machine.boots[boot_id] for boot_id in boot_ids}
    known = dict(machine.boots)
    boots = [BootRow(rvm_id=machine.id, boot_id=boot_id, last_used_at=call.now) for boot_id in boot_ids]
    stored = await call.context.announce(*(Put(boot, over=("last_used_at",)) for boot in boots))
    for boot in put_rows(stored, BootRow):
        if boot.boot_id not in known:
            mark = -1 if boot.last_seq is None else boot.last_seq
            known[boot.boot_id] = machine.boots.get(boot.boot_id) or Boot(boot.boot_id, boot.id, mark)
    return known


async def _keep(
    context: HubContext, boots: dict[str, Boot], read: list[tuple[int, RestSample]], found: rules.Sorted
) -> None:
    """Return when everything is durable, also what was known. 503 when the database is away or full, or does not
    answer within 5 s; the client sends it again."""
    unstorable = context.announce.lane.retry.waiting
    durable, away = anyio.Event(), Problem("unavailable", Text("unavailable"), retry_after=COMMIT_WITHIN_S)
    if unstorable.is_set() or not context.announce.queue_samples(found.kept, durable.set):
        raise away
    rules.accept(boots, read)
    with anyio.move_on_after(COMMIT_WITHIN_S):
        async with anyio.create_task_group() as waits:

            async def first(event: anyio.Event | asyncio.Event) -> None:
                await event.wait()
                waits.cancel_scope.cancel()

            waits.start_soon(first, durable)
            waits.start_soon(first, unstorable)
    if not durable.is_set():
        raise away


def _show(context: HubContext, machine: Machine, found: rules.Sorted, now: datetime) -> None:
    newest = found.newest
    if newest is None or found.newest_at is None or context.fleet.find(machine.id) is None:
        return
    boot_id, seq = newest.boot_id, -1 if newest.seq is None else newest.seq
    at = newest_at(machine, boot_id, seq, found.newest_at, now)
    if at is not None:
        context.announce.publish_readings(
            SampleSeen(rvm_id=machine.id, sample=newest, taken_at=at, received_at=now, boot_id=boot_id, seq=seq)
        )


def _place(body: list[Any], fault: Fault) -> str:
    where = f"samples[{fault.place}]" if len(body) > 1 else ""
    return ".".join(part for part in (where, fault.field) if part) or "samples"


def _why(fault: Fault) -> Text:
    if fault.expected is None:
        return Text("numbered_wanted")
    if fault.field == "timestamp":
        return Text("timestamp_wanted")
    return expectation(fault.expected)


_SAMPLE = {
    "cpu_usage": 42.5, "memory_usage": 61.2, "disk_usage": 70.1, "gpu_usage": None, "temperature": 54.3,
    "timestamp": "2026-11-23T13:05:09Z",
}  # fmt: skip

OPERATIONS = (
    Operation(
        name="upload_metrics", method="POST", path="/v2/rvms/{id}/metrics", handler=upload, tag="Metrics",
        summary="A machine uploads one sample or up to 500", action="metrics.write",
        body=RestSample | list[RestSample], read_body=read_samples, body_limit=MAX_UPLOAD_BYTES, wild_numbers=True,
        answers={201: Uploaded}, example=_SAMPLE, cost=cost,
        description="A bad reading costs that reading, a bad timestamp that sample; the answer names both. With "
        "boot_id and seq, samples must come in order and one request at a time: a number at or below the highest one "
        "seen is a repeat. A naive timestamp is read in the machine's time zone.",
    ),
    Operation(
        name="read_metrics", method="GET", path="/v2/rvms/{id}/metrics", handler=history, tag="Metrics",
        reads=20, summary="History in at most `points` buckets", action="metrics.read", query=SamplesQuery,
        answers={200: History},
    ),
)  # fmt: skip
