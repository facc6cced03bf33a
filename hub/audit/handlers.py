"""What happened on a machine, as it reports it: recorded one by one, or counted when it is too much.

An event that is only counted is `received` as well: the machine need not say it again, and the record tells how many
there were. A count is held in memory for a minute at most; a hub that dies then forgets it.
"""

from __future__ import annotations

from hub.links import rules
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
    changes = rules.report_event(talk.machine, talk.boot.boot_id, report, talk.clock(), talk.zone)
    if await talk.commit(changes, report.seq):
        talk.link.say(m.Received(ref=report.seq))
