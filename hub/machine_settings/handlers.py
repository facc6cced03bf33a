"""Handles a machine's report of its settings: committed, never answered, because it follows each hello."""

from __future__ import annotations

from hub.links.session import Talk
from hub.machine_settings import rules
from protocol import messages as m


async def config_applied(talk: Talk, report: m.ConfigApplied) -> None:
    own, left_out = rules.readable(report.own)
    talk.links.tally["left_out"] += left_out
    if not rules.was_given(talk.machine, report.version):
        talk.links.tally["refused"] += 1
        talk.link.say(m.Error(code="invalid", message="version: the hub never gave this one", ref=m.type_of(report)))
        return
    changes = rules.applied(talk.machine, report.version, report.errors or {}, talk.clock(), own)
    await talk.commit(changes, m.type_of(report))
    talk.link.reported.set()
