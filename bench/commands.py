"""Round trip of a command, while nobody else is there and while 5,000 other machines send a sample every 5 s.

    python -m bench.commands [--database sqlite|postgresql] [--others 0,5000] [--orders 400] [--order ping|status]

One order after the other, as a person gives them, each timed from the request to the confirmed answer:

hub        POST /api/v2/rvms/ID/commands?wait=10: checked, committed with its event, sent, result committed, answered
bare       POST /command/ID: committed, sent, result committed, answered; the samples of the others committed as well
light      the same, but the samples of the others are acknowledged and forgotten: the lower bound
mosquitto  request and reply over MQTT at QoS 1, both in this load, with `set_tcp_nodelay true`; nothing is committed
installed  the same with Mosquitto as its Debian package configures it

REST and not a raw socket, because that is how every button, script and schedule gives a command; the caller is one
kept-alive connection of hand-made bytes. The machines answer at once, so what is timed is the server. `--order status`
sends PATCH .../status instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from bench import broker, meter, report, scene
from bench.crowd import Target
from bench.hub import Hub
from bench.load_spec import Form, Found, Spec
from bench.processes import Server, run_load

ORDERED = 20
"""Machines that are given orders, in turn."""
GOAL = "p50 <= 1.5, p99 <= 2"
SETTLE_S = 3.0
"""After thousands of machines came, before the first order."""
STATUSES = ['{"status":"maintenance","reason":"bench"}', '{"status":"active","reason":"bench"}']
BROKERS = {"mosquitto": [broker.TUNED], "installed": list[str]()}
"""The configuration lines each kind adds."""
Runs = dict[tuple[str, int], list[Found]]


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("commands", __doc__, machines=ORDERED)
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--order", choices=("ping", "status"), default="ping")
    parser.add_argument("--others", default="0,5000")
    parser.add_argument("--settle", type=float, default=SETTLE_S)
    parser.add_argument("--only", default="hub,bare,light,mosquitto,installed")
    options = parser.parse_args(argv)
    crowds = [int(number) for number in options.others.split(",")]
    sides = options.only.split(",")
    if not broker.find() and not BROKERS.keys().isdisjoint(sides):
        report.say("Mosquitto is not installed: its rows are left out (apt-get install mosquitto).")
        sides = [side for side in sides if side not in BROKERS]
    found: Runs = {}
    with scene.Scene(options.database) as stage:
        specs = {side: _spec(stage, side, options.machines, max(crowds), options.order) for side in sides}
        for turn in range(options.repeat):
            for others in crowds:
                for side, make in specs.items():
                    one = _once(make(others), turn, options.orders, options.settle if others else 0.2)
                    found.setdefault((side, others), []).append(one)
                    if one.failure:
                        report.say(f"  {side}: {one.failure}")
    report.heading(
        f"command round trip ({options.order}), one after the other, {options.orders} each, {options.database}"
    )
    _table(found)
    _ratios(found, crowds)
    return 0


def _spec(stage: scene.Scene, side: str, machines: int, most: int, order: str) -> Callable[[int], Spec]:
    """A server, and what to ask of it with that many others."""
    if side == "hub":
        return _hub_spec(stage.hub(machines + most), machines, order)
    if side in BROKERS:
        return _plain_spec(stage.mosquitto(*BROKERS[side]), "mqtt", machines)
    return _plain_spec(stage.bare("command" if side == "bare" else "commandonly"), "commands", machines)


def _plain_spec(server: Server, form: Form, machines: int) -> Callable[[int], Spec]:
    def spec(others: int) -> Spec:
        target, company = _split(scene.strangers(server, machines + others), machines)
        return Spec(
            form=form, target=target, others=company, watch=server.pids, ids=list(range(1, machines + 1)),
            order_head="POST /command/{id} HTTP/1.1", order_bodies=STATUSES,
        )  # fmt: skip

    return spec


def _hub_spec(running: Hub, machines: int, order: str) -> Callable[[int], Spec]:
    headers = {"Authorization": f"Bearer {running.seed.token}", "Content-Type": "application/json"}
    ping = order == "ping"
    way = "POST /api/v2/rvms/{id}/commands?wait=10" if ping else "PATCH /api/v2/rvms/{id}/status?wait=10"

    def spec(others: int) -> Spec:
        target, company = _split(running.target(machines + others), machines)
        return Spec(
            form="commands", target=target, others=company, watch=running.server.pids,
            ids=running.seed.ids[:machines], order_head=f"{way} HTTP/1.1", order_headers=headers,
            order_bodies=['{"name":"ping"}'] if ping else STATUSES,
        )  # fmt: skip

    return spec


def _split(everybody: Target, machines: int) -> tuple[Target, Target]:
    """Who is ordered, and who keeps them company."""
    devices, keys = everybody.devices, everybody.keys
    return (
        msgspec.structs.replace(everybody, devices=devices[:machines], keys=keys[:machines]),
        msgspec.structs.replace(everybody, devices=devices[machines:], keys=keys[machines:]),
    )


def _once(spec: Spec, turn: int, orders: int, settle: float) -> Found:
    target, others = (
        msgspec.structs.replace(each, boot=f"b{turn}") for each in (spec.target, spec.others or spec.target)
    )
    return run_load(msgspec.structs.replace(spec, target=target, others=others, orders=orders, warm_up_s=settle))


def _table(found: Runs) -> None:
    """A line for each server and crowd: the medians, and in brackets the least and the most."""
    report.say(f"  {'':<10} {'others':>7} {'p50 ms':>22} {'p99 ms':>24} {'CPU ms each':>12} {'load core':>10}")
    for (side, others), runs in sorted(found.items(), key=lambda item: (item[0][1], list(BROKERS).count(item[0][0]))):
        p50, p99 = _spread([run.p50_ms for run in runs]), _spread([run.p99_ms for run in runs])
        cpu = meter.median(run.cpu_us_each / 1000 for run in runs)
        load = meter.median(run.load_share for run in runs)
        report.say(f"  {side:<10} {others:>7,} {p50:>22} {p99:>24} {cpu:>12.2f} {load:>10.2f}")


def _spread(values: list[float]) -> str:
    return f"{meter.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _ratios(found: Runs, crowds: list[int]) -> None:
    for others in crowds:
        for side in ("bare", "light"):
            ours, theirs = found.get(("hub", others)), found.get((side, others))
            if ours and theirs:
                goal = GOAL if side == "bare" else "none"
                name = f"hub / {side}, {others:,} others"
                report.ratio(f"{name}: p50", [r.p50_ms for r in ours], [r.p50_ms for r in theirs], goal)
                report.ratio(f"{name}: p99", [r.p99_ms for r in ours], [r.p99_ms for r in theirs], goal)


if __name__ == "__main__":
    sys.exit(main())
