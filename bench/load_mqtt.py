"""The load form of commands over an MQTT broker: request and reply at QoS 1, both ends and all other machines here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench import frames
from bench.crowd import AT_ONCE, PER_SOURCE, Target, raise_open_files
from bench.load_commands import DAY_S, evenly, measure
from bench.load_spec import Found, Spec
from bench.mqtt import MqttLink

REPLY_S = 20.0


async def commands(spec: Spec) -> Found:
    """The time from publishing a request to the reply, one after the other. Nobody is subscribed to the samples."""
    raise_open_files()
    machines = await connect(spec.target)
    others = await connect(spec.others) if spec.others else []
    caller = await _one(spec.target, "caller", 0)
    for name, machine in zip(spec.target.devices, machines, strict=True):
        machine.on_message = _obeying(machine, f"reply/{name}".encode())
        await machine.subscribe(f"command/{name}".encode())
    await caller.subscribe(b"reply/+")
    answered: dict[bytes, asyncio.Future[None]] = {}
    caller.on_message = lambda _, payload: answered.pop(payload).set_result(None)

    async def order(number: int) -> None:
        name = spec.target.devices[number % len(machines)]
        payload = b'{"id":"%016d","name":"ping","state":"succeeded"}' % number
        answered[payload] = asyncio.get_running_loop().create_future()
        caller.publish(f"command/{name}".encode(), payload)
        await asyncio.wait_for(answered[payload], REPLY_S)

    sending = asyncio.ensure_future(_company(others, spec.others_every_s))
    await asyncio.sleep(spec.warm_up_s)
    found = await measure(spec, order)
    sending.cancel()
    everybody = [caller, *machines, *others]
    found.failure = next((link.refused for link in everybody if link.refused), "")
    for link in everybody:
        link.close()
    return found


async def connect(target: Target) -> list[MqttLink]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, name: str) -> MqttLink:
        async with gate:
            return await _one(target, name, number)

    return await asyncio.gather(*(one(k, name) for k, name in enumerate(target.devices)))


async def _one(target: Target, name: str, number: int) -> MqttLink:
    link, source = MqttLink(name), (f"127.0.0.{2 + number // PER_SOURCE}", 0)
    await asyncio.get_running_loop().create_connection(lambda: link, target.host, target.port, local_addr=source)
    await link.ready
    return link


def _obeying(machine: MqttLink, reply: bytes) -> Callable[[bytes, bytes], None]:
    return lambda _, payload: machine.publish(reply, payload)


async def _company(others: list[MqttLink], every_s: float) -> None:
    second = int(time.time()) - DAY_S
    bodies = [
        b'{"type":"metrics","seq":1,"samples":[{"timestamp":"%b.000Z","cpu_usage":%d.5,"memory_usage":40.25,'
        b'"disk_usage":42.5,"gpu_usage":3.0,"temperature":44.5}]}' % (frames.clock_text(second), k % 100)
        for k in range(len(others))
    ]
    topics = [b"metrics/%d" % k for k in range(len(others))]
    await evenly(len(others), every_s, lambda k: others[k].publish(topics[k], bodies[k]))
