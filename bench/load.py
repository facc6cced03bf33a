"""The load process: `python -m bench.load` reads one Spec from standard input, writes one Found to standard output.

A storm writes a line `ready` first, when every machine is live; then the server may be killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from bench import load_commands, load_metrics, load_mqtt, load_presence
from bench.load_spec import Form, Found, Spec

FORMS: dict[Form, Callable[[Spec], Awaitable[Found]]] = {
    "window": load_metrics.window,
    "open": load_metrics.open_loop,
    "live": load_metrics.live,
    "idle": load_presence.idle,
    "commands": load_commands.commands,
    "mqtt": load_mqtt.commands,
}


async def run(spec: Spec) -> Found:
    if spec.form != "storm":
        return await FORMS[spec.form](spec)
    storm = load_presence.Storm(spec)
    connect_s = await storm.gather()
    print("ready", flush=True)
    found = await storm.weather()
    found.connect_s = connect_s
    return found


def main() -> int:
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    found = loop.run_until_complete(run(spec))
    print(msgspec.json.encode(found).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
