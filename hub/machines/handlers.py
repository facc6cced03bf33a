"""Handles what a machine reports of itself: who it is (hello), what it is (status)."""

from __future__ import annotations

import msgspec

from db import machine_pulse
from hub.links import rules as link_rules
from hub.links.session import Talk
from hub.remote.rules import life, requests
from protocol import free_shape
from protocol import messages as m
from protocol.limits import MAX_HARDWARE_BYTES


async def introduce(talk: Talk, hello: m.Hello) -> None:
    link = talk.link
    now, held = talk.clock(), hello.remote_session
    if not free_shape.fits(hello.hardware, MAX_HARDWARE_BYTES):
        why = f"hardware: left out, more than {MAX_HARDWARE_BYTES} bytes as JSON"
        link.say(m.Error(code="invalid", message=why, ref=m.type_of(hello)))
        hello = msgspec.structs.replace(hello, hardware=None)
    # Before the hello is true: which boot it was that held the sessions.
    over = [] if held is None else life.forgotten(talk.machine, hello.boot_id, held, now)
    await talk.commit(over + link_rules.introduce(talk.machine, hello, link.epoch, link.address, now, talk.zone))
    await talk.commit(requests.unknown_here(talk.machine, held or (), now))


async def status(talk: Talk, report: m.StatusReport) -> None:
    machine, boot_id = talk.machine, talk.boot.boot_id
    if machine.reported is None or machine.reported[0] != boot_id:
        last = await talk.retry(lambda: machine_pulse.last_status_seq(talk.store, machine.id, boot_id))
        machine.reported = (boot_id, -1 if last is None else last)
    if report.seq > machine.reported[1]:
        if not await talk.commit(link_rules.report_status(machine, boot_id, report, talk.clock()), report.seq):
            return
        machine.reported = (boot_id, report.seq)
    talk.link.say(m.Received(ref=report.seq))
