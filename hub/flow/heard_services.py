"""What a machine says of its settings and of its zone, committed. Neither is answered: both follow each hello."""

from __future__ import annotations

from hub.core import actors, config_reports, timezones
from hub.core.timezones import ReportRefused
from hub.flow.talk import Talk
from protocol import messages as m

WHY = {
    "timezone": "not a name of the IANA time zone database",
    "guess": "not a name of the IANA time zone database",
    "timestamp": "not an RFC 3339 instant, or before the year 2000",
}


async def config_applied(talk: Talk, said: m.ConfigApplied) -> None:
    own, left_out = config_reports.readable(said.own)
    talk.links.tally["left_out"] += left_out
    changes = config_reports.applied(talk.machine, said.version, said.errors or {}, talk.clock(), own)
    await talk.commit(changes, m.type_of(said))


async def timezone(talk: Talk, said: m.TimezoneReport) -> None:
    machine = talk.machine
    try:
        changes = timezones.reported(machine, said, actors.machine(machine.id), talk.clock(), talk.zone)
    except ReportRefused as refused:
        talk.links.tally["refused"] += 1
        why = f"{refused.field}: {WHY[refused.field]}"
        talk.link.say(m.Error(code="invalid", message=why, ref=m.type_of(said)))
        return
    await talk.commit(changes, m.type_of(said))
