"""Handles a machine's report of its settings: committed, never answered, because it follows each hello."""

from __future__ import annotations

from hub.links.session import Talk
from hub.machine_settings.rules import reports
from protocol import messages as m


async def config_applied(talk: Talk, said: m.ConfigApplied) -> None:
    own, left_out = reports.readable(said.own)
    talk.links.tally["left_out"] += left_out
    if not reports.was_given(talk.machine, said.version):
        talk.links.tally["refused"] += 1
        talk.link.say(m.Error(code="invalid", message="version: the hub never gave this one", ref=m.type_of(said)))
        return
    changes = reports.applied(talk.machine, said.version, said.errors or {}, talk.clock(), own)
    await talk.commit(changes, m.type_of(said))
    talk.link.reported.set()
