"""The hub's share of a core with machines at 1 Hz and browsers on the fleet page, beside the fewest lines that do it;
and with as many on pages of one machine.

python -m bench.fanout [--machines 1000] [--browsers 50]
"""

from __future__ import annotations

import sys

import msgspec

from bench import report, scene
from bench.hub import Hub
from bench.load_spec import Found, Spec
from bench.processes import Server, run_load

WATCH_FLEET = '{"type":"watch","machine":null,"rate":5}'
WATCH_MACHINE = '{"type":"watch","machine":1,"rate":1}'
OF_A_MACHINE = "/ws/dashboard?of=1"


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("fanout", __doc__, machines=1000, seconds=5.0)
    parser.add_argument("--browsers", type=int, default=50)
    parser.add_argument("--only", default="bare,hub")
    options = parser.parse_args(argv)
    found: dict[str, list[Found]] = {}
    with scene.Scene(options.database) as stage:
        specs: dict[str, Spec] = {}
        if "bare" in options.only:
            server = stage.bare("fanout")
            specs["bare"] = bare_spec(server, options.machines, options.seconds)
        if "hub" in options.only:
            specs["hub"] = hub_spec(stage.hub(options.machines), options.machines, options.seconds)
        for _ in range(options.repeat):
            for name, spec in specs.items():
                turns = [(f"{name}, {many} browsers", replaced(spec, many)) for many in (0, options.browsers)]
                if name == "hub":
                    turns.append((f"hub, {options.browsers} pages of a machine", of_a_machine(spec, options.browsers)))
                for label, asked in turns:
                    one = run_load(asked)
                    found.setdefault(label, []).append(one)
                    if one.failure:
                        report.say(f"  {name}: {one.failure}")
    report.heading(f"fan-out: {options.machines:,} machines at 1 Hz, {options.database}")
    for name, runs in found.items():
        report.row(f"{name}: share of a core", [run.cpu_share for run in runs], "", 3)
        if not name.endswith(" 0 browsers"):
            report.row(f"{name}: frames a second", [run.rate for run in runs], "/s", 0)
            report.row(f"{name}: bytes a frame", [run.bytes_each for run in runs], "", 0)
    many = f"{options.browsers} browsers"
    if f"hub, {many}" in found:
        report.row("hub: extra for the browsers", _extra(found, many), "core", 3)
        report.row(
            "hub: extra for pages of a machine", _extra(found, f"{options.browsers} pages of a machine"), "core", 3
        )
        report.say("  goal: share <= 0.30 with browsers; extra <= 0.03")
    return 0


def _extra(found: dict[str, list[Found]], many: str) -> list[float]:
    pairs = zip(found[f"hub, {many}"], found["hub, 0 browsers"], strict=True)
    return [with_them.cpu_share - without.cpu_share for with_them, without in pairs]


def replaced(spec: Spec, browsers: int) -> Spec:
    return msgspec.structs.replace(spec, rate=1.0, browsers=browsers)


def of_a_machine(spec: Spec, browsers: int) -> Spec:
    return msgspec.structs.replace(replaced(spec, browsers), browser_path=OF_A_MACHINE, browser_hello=WATCH_MACHINE)


def bare_spec(server: Server, machines: int, seconds: float) -> Spec:
    return Spec(form="live", target=scene.strangers(server, machines), watch=server.pids, seconds=seconds)


def hub_spec(running: Hub, machines: int, seconds: float) -> Spec:
    return Spec(
        form="live", target=running.target(machines), watch=running.server.pids, seconds=seconds,
        browser_tokens=running.seed.tokens, browser_hello=WATCH_FLEET,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
