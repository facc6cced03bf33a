"""What a machine says of its settings, its zone and its remote access, committed. Only an end of remote access is
answered: the others follow each hello."""

from __future__ import annotations

import msgspec

from hub.core import actors, config_reports, remote_life, timezones
from hub.core.timezones import ReportRefused
from hub.flow.talk import Talk
from protocol import messages as m
from protocol.limits import MAX_CLOCK_OFFSET_S

WHY = {
    "timezone": "not a name of the IANA time zone database",
    "guess": "not a name of the IANA time zone database",
    "timestamp": "not an RFC 3339 instant, or before the year 2000",
}


async def config_applied(talk: Talk, said: m.ConfigApplied) -> None:
    own, left_out = config_reports.readable(said.own)
    talk.links.tally["left_out"] += left_out
    if not config_reports.was_given(talk.machine, said.version):
        talk.links.tally["refused"] += 1
        talk.link.say(m.Error(code="invalid", message="version: the hub never gave this one", ref=m.type_of(said)))
        return
    changes = config_reports.applied(talk.machine, said.version, said.errors or {}, talk.clock(), own)
    await talk.commit(changes, m.type_of(said))
    talk.link.reported.set()


async def timezone(talk: Talk, said: m.TimezoneReport) -> None:
    machine = talk.machine
    if said.clock_offset is not None and not abs(said.clock_offset) <= MAX_CLOCK_OFFSET_S:
        _refused(talk, said, f"clock_offset: left out, more than {MAX_CLOCK_OFFSET_S:.0f} s is no distance of clocks")
        said = msgspec.structs.replace(said, clock_offset=None)
    try:
        changes = timezones.reported(machine, said, actors.machine(machine.id), talk.clock(), talk.zone)
    except ReportRefused as refused:
        _refused(talk, said, f"{refused.field}: {WHY[refused.field]}")
        return
    await talk.commit(changes, m.type_of(said))


async def remote_access(talk: Talk, said: m.RemoteAccessReport) -> None:
    ref = f"session-{said.session_id}"
    if said.state == "ended":
        changes = remote_life.reported_end(talk.machine, said.session_id, said.reason, talk.clock())
        if await talk.commit(changes, ref):
            talk.link.say(m.Received(ref=ref))


def _refused(talk: Talk, said: m.TimezoneReport, why: str) -> None:
    talk.links.tally["refused"] += 1
    talk.link.say(m.Error(code="invalid", message=why, ref=m.type_of(said)))
