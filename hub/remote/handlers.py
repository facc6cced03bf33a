"""Handles a machine's report of its remote sessions: an end is committed, then answered."""

from __future__ import annotations

from hub.links.session import MessageContext
from hub.remote.rules import life
from protocol import messages as m


async def remote_access(context: MessageContext, said: m.RemoteAccessReport) -> None:
    ref = f"session-{said.session_id}"
    if said.state == "ended":
        changes = life.reported_end(context.machine, said.session_id, said.reason, context.clock())
        if await context.commit(changes, ref):
            context.link.send(m.Received(ref=ref))
