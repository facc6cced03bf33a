"""The gate that all threads of the child pass, and what it reads and writes."""

from __future__ import annotations

import threading
import time

from device.backups.control import ChildReport, Control, Gate, Yielding
from device.backups.rules import CHUNK, TRICKLE


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_while_it_is_open_a_chunk_passes_at_once() -> None:
    gate = Gate(0.0, Clock())
    assert gate.grant(10**9) == CHUNK
    assert gate.grant(5) == 5


def test_while_it_yields_nothing_goes_on_and_a_chunk_that_waits_passes_when_it_opens() -> None:
    gate = Gate(0.0)
    gate.set(Yielding(to="customer"))
    passed: list[int] = []

    def wait() -> None:
        gate.wait()
        passed.append(0)

    waiting = [threading.Thread(target=lambda: passed.append(gate.grant(10**9))), threading.Thread(target=wait)]
    for each in waiting:
        each.start()
    assert not passed
    gate.set(Yielding())
    for each in waiting:
        each.join(5)
    assert sorted(passed) == [0, CHUNK]


def test_a_part_in_flight_goes_on_with_a_trickle() -> None:
    gate = Gate(0.0, trickle_every_s=0.01)
    gate.set(Yielding(to="control"))
    assert gate.grant(10**9) == TRICKLE
    assert gate.grant(10) == 10


def test_the_rate_holds_and_changes_while_it_runs() -> None:
    gate = Gate(CHUNK * 20.0)
    began = time.monotonic()
    for _ in range(6):
        gate.grant(CHUNK)
    assert time.monotonic() - began >= 0.24, "the first is free, five wait 50 ms each"
    gate.set(Yielding(rate=0.0))
    assert gate.grant(CHUNK) == CHUNK


def test_what_is_reported_is_sent_in_order() -> None:
    sent: list[ChildReport] = []
    control = Control(Gate(0.0), sent.append)
    control.progress("sending", 1, 2)
    control.report(ChildReport(waits_for="hub"))
    assert sent == [ChildReport(phase="sending", done=1, total=2), ChildReport(waits_for="hub")]
    assert not control.stop()
