"""Handles events that a machine reports: recorded one by one, or counted when there are too many.

An event that is only counted is answered `received` as well: the machine need not repeat it.
"""

from __future__ import annotations

from hub.links import rules as link_rules
from hub.links.session import Talk
from hub.model.budgets import MAX_PARAMS_BYTES, too_large
from protocol import messages as m


async def event(talk: Talk, report: m.Event) -> None:
    if too_large(report.params):
        said = f"params: at most {MAX_PARAMS_BYTES} bytes as JSON; this event is not stored"
        talk.link.say(m.Error(code="invalid", message=said, ref=report.seq))
        return
    if not talk.links.dropped_events.take(talk.machine.id, talk.clock()):
        talk.link.say(m.Received(ref=report.seq))
        return
    changes = link_rules.report_event(talk.machine, talk.boot.boot_id, report, talk.clock(), talk.zone)
    if await talk.commit(changes, report.seq):
        talk.link.say(m.Received(ref=report.seq))
