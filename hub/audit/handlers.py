"""Handles events that a machine reports: recorded, or counted when too many, and answered `received` either way."""

from __future__ import annotations

from hub.links import rules as link_rules
from hub.links.session import MessageContext
from hub.model.budgets import MAX_PARAMS_BYTES, too_large
from protocol import messages as m


async def event(context: MessageContext, report: m.Event) -> None:
    if too_large(report.params):
        why = f"params: at most {MAX_PARAMS_BYTES} bytes as JSON; this event is not stored"
        context.link.send(m.Error(code="invalid", message=why, ref=report.seq))
        return
    if not context.links.dropped_events.take(context.machine.id, context.clock()):
        context.link.send(m.Received(ref=report.seq))
        return
    changes = link_rules.report_event(context.machine, context.boot.boot_id, report, context.clock(), context.zone)
    if await context.commit(changes, report.seq):
        context.link.send(m.Received(ref=report.seq))
