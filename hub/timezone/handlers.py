"""Handles a machine's zone report: committed, never answered, as it follows each hello."""

from __future__ import annotations

import msgspec

from hub.links.session import MessageContext
from hub.model import actors
from hub.timezone import rules
from hub.timezone.rules import ReportRefused
from protocol import messages as m
from protocol.limits import MAX_CLOCK_OFFSET_S

WHY = {
    "timezone": "not a name of the IANA time zone database",
    "guess": "not a name of the IANA time zone database",
    "timestamp": "not an RFC 3339 instant, or before the year 2000",
}


async def timezone(context: MessageContext, report: m.TimezoneReport) -> None:
    machine = context.machine
    if report.clock_offset is not None and not abs(report.clock_offset) <= MAX_CLOCK_OFFSET_S:
        _refused(
            context, report, f"clock_offset: left out, more than {MAX_CLOCK_OFFSET_S:.0f} s is no distance of clocks"
        )
        report = msgspec.structs.replace(report, clock_offset=None)
    try:
        changes = rules.reported(machine, report, actors.machine(machine.id), context.clock(), context.zone)
    except ReportRefused as refused:
        _refused(context, report, f"{refused.field}: {WHY[refused.field]}")
        return
    await context.commit(changes, m.type_of(report))


def _refused(context: MessageContext, report: m.TimezoneReport, why: str) -> None:
    context.links.tally["refused"] += 1
    context.link.send(m.Error(code="invalid", message=why, ref=m.type_of(report)))
