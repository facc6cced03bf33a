"""Handles a machine's report of its remote sessions: an end is committed, then acknowledged."""

from __future__ import annotations

from hub.links.session import MessageContext
from hub.remote.rules import life
from protocol import messages as m


async def remote_access(context: MessageContext, report: m.RemoteAccessReport) -> None:
    ref = f"session-{report.session_id}"
    if report.state == "ended":
        changes = life.reported_end(context.machine, report.session_id, report.reason, context.clock())
        if await context.commit(changes, ref):
            context.link.send(m.Received(ref=ref))
