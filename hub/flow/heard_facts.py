"""What a machine says of itself, committed: who it is (hello), what it is (status)."""

from __future__ import annotations

from db import machine_pulse
from hub.core import intake
from hub.flow.talk import Talk
from protocol import messages as m


async def introduce(talk: Talk, hello: m.Hello) -> None:
    link = talk.link
    await talk.commit(intake.introduce(talk.machine, hello, link.epoch, link.address, talk.clock(), talk.zone))


async def status(talk: Talk, report: m.StatusReport) -> None:
    machine, boot_id = talk.machine, talk.boot.boot_id
    if machine.reported is None or machine.reported[0] != boot_id:
        last = await talk.patiently(lambda: machine_pulse.last_status_seq(talk.store, machine.id, boot_id))
        machine.reported = (boot_id, -1 if last is None else last)
    if report.seq > machine.reported[1]:
        if not await talk.commit(intake.report_status(machine, boot_id, report, talk.clock()), report.seq):
            return
        machine.reported = (boot_id, report.seq)
    talk.link.say(m.Received(ref=report.seq))
