"""From PATCH to confirmed by the machine, beside a bare endpoint that also commits the command and its result.

    python -m bench.round_trip [--database sqlite|postgresql] [--machines 200] [--orders 300]

One order after the other; the machines answer at once, so what is timed is the hub: recorded, sent, settled, answered.
"""

from __future__ import annotations

import sys

import msgspec

from bench import report, scene
from bench.hub import Hub
from bench.load_spec import Found, Spec
from bench.processes import Server, run_load

BODIES = ['{"status":"maintenance","reason":"bench"}', '{"status":"active","reason":"bench"}']


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("round_trip", __doc__, machines=200)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--only", default="bare,hub")
    options = parser.parse_args(argv)
    found: dict[str, list[Found]] = {}
    with scene.Scene(options.database) as stage:
        specs: dict[str, Spec] = {}
        if "bare" in options.only:
            specs["bare"] = bare_spec(stage.bare("command"), options.machines, options.orders)
        if "hub" in options.only:
            specs["hub"] = hub_spec(stage.hub(options.machines), options.machines, options.orders)
        for turn in range(options.repeat):
            for name, spec in specs.items():
                one = run_load(
                    msgspec.structs.replace(spec, target=msgspec.structs.replace(spec.target, boot=f"b{turn}"))
                )
                found.setdefault(name, []).append(one)
                if one.failure:
                    report.say(f"  {name}: {one.failure}")
    report.heading(f"round trip: {options.machines} machines connected, {options.orders} orders, {options.database}")
    for name, runs in found.items():
        report.row(f"{name}: p50", [run.p50_ms for run in runs], "ms", 2)
        report.row(f"{name}: p99", [run.p99_ms for run in runs], "ms", 2)
        report.row(f"{name}: CPU an order", [run.cpu_us_each / 1000 for run in runs], "ms", 2)
    if len(found) == 2:
        report.ratio("hub / bare: p50", [r.p50_ms for r in found["hub"]], [r.p50_ms for r in found["bare"]], "<= 2")
        report.ratio("hub / bare: p99", [r.p99_ms for r in found["hub"]], [r.p99_ms for r in found["bare"]], "<= 2")
    return 0


def bare_spec(server: Server, machines: int, orders: int) -> Spec:
    return Spec(
        form="commands", target=scene.strangers(server, machines), watch=server.pids, orders=orders,
        order_head="POST /command/{id} HTTP/1.1", order_bodies=BODIES, ids=list(range(1, machines + 1)),
    )  # fmt: skip


def hub_spec(running: Hub, machines: int, orders: int) -> Spec:
    headers = {"Authorization": f"Bearer {running.seed.token}", "Content-Type": "application/json"}
    return Spec(
        form="commands", target=running.target(machines), watch=running.server.pids, orders=orders,
        order_head="PATCH /api/v2/rvms/{id}/status?wait=10 HTTP/1.1", order_headers=headers, order_bodies=BODIES,
        ids=running.seed.ids[:machines],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
