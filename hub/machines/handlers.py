"""Handles what a machine reports of itself: who it is (hello), what it is (status), how its board fares."""

from __future__ import annotations

import msgspec

from db.queries import machines
from hub.links import rules as link_rules
from hub.links.session import MessageContext
from hub.machines import rules
from hub.remote.rules import life, requests
from protocol import free_shape
from protocol import messages as m
from protocol.limits import MAX_HARDWARE_BYTES


async def introduce(context: MessageContext, hello: m.Hello) -> None:
    link = context.link
    now, held = context.clock(), hello.remote_session
    if link.key_hash and link.key_hash == context.machine.row.next_api_key:
        await context.commit(rules.renewed_key(context.machine.row, now))
    if not free_shape.fits(hello.hardware, MAX_HARDWARE_BYTES):
        why = f"hardware: left out, more than {MAX_HARDWARE_BYTES} bytes as JSON"
        link.send(m.Error(code="invalid", message=why, ref=m.type_of(hello)))
        hello = msgspec.structs.replace(hello, hardware=None)
    # Before the hello is true: which boot it was that held the sessions.
    over = [] if held is None else life.ended_by_hello(context.machine, hello.boot_id, held, now)
    await context.commit(
        over + link_rules.introduce(context.machine, hello, link.epoch, link.address, now, context.zone)
    )
    await context.commit(requests.unknown_here(context.machine, held or (), now))


async def key_offer(context: MessageContext, offer: m.KeyOffer) -> None:
    row = context.machine.row
    fault, fresh = None, offer.key_hash not in (row.api_key, row.next_api_key)
    if fresh:
        taken = context.announce.fleet.by_key_prefix(offer.key_prefix) is not None
        fault = rules.key_fault(context.machine, offer, taken=taken)
    if fresh and fault is None:
        outcome = await context.attempt(rules.offered_key(row, offer, context.clock()), offer.key_prefix)
        fault = None if outcome == "committed" else "another new key was committed"
    if fault is None:
        context.link.send(m.Received(ref=offer.key_prefix))
    else:
        context.link.send(m.Error(code="key_refused", message=fault, ref=offer.key_prefix))


async def trust(context: MessageContext, report: m.TrustReport) -> None:
    await context.commit(link_rules.report_trust(context.machine, report, context.clock()))


async def status(context: MessageContext, report: m.StatusReport) -> None:
    machine, boot_id = context.machine, context.boot.boot_id
    if machine.reported is None or machine.reported[0] != boot_id:
        last = await context.retry(lambda: machines.last_status_seq(context.store, machine.id, boot_id))
        machine.reported = (boot_id, -1 if last is None else last)
    if report.seq > machine.reported[1]:
        if not await context.commit(link_rules.report_status(machine, boot_id, report, context.clock()), report.seq):
            return
        machine.reported = (boot_id, report.seq)
    context.link.send(m.Received(ref=report.seq))


async def board(context: MessageContext, report: m.BoardReport) -> None:
    """Never answered: it comes again with each link."""
    await context.commit(rules.board_reported(context.machine, report, context.clock()), m.type_of(report))
