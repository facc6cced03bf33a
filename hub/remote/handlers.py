"""Handles a machine's report of its remote sessions: an end is committed, then answered."""

from __future__ import annotations

from hub.links.session import Talk
from hub.remote.rules import life
from protocol import messages as m


async def remote_access(talk: Talk, said: m.RemoteAccessReport) -> None:
    ref = f"session-{said.session_id}"
    if said.state == "ended":
        changes = life.reported_end(talk.machine, said.session_id, said.reason, talk.clock())
        if await talk.commit(changes, ref):
            talk.link.say(m.Received(ref=ref))
