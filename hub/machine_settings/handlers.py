"""Handles a machine's report of its settings: committed, never answered, because it follows each hello."""

from __future__ import annotations

from hub.links.session import MessageContext
from hub.machine_settings import rules
from protocol import messages as m


async def config_applied(context: MessageContext, report: m.ConfigApplied) -> None:
    own, left_out = rules.readable(report.own)
    context.links.tally["left_out"] += left_out
    if not rules.was_given(context.machine, report.version):
        context.links.tally["refused"] += 1
        context.link.send(
            m.Error(code="invalid", message="version: the hub never gave this one", ref=m.type_of(report))
        )
        return
    changes = rules.applied(context.machine, report.version, report.errors or {}, context.clock(), own)
    await context.commit(changes, m.type_of(report))
    context.link.reported.set()
