"""A simulated machine without a socket: its spool frees on acknowledgement only, and no command runs twice."""

from __future__ import annotations

from typing import Any

import pytest

from bench.simulated_machine import Plan, SimulatedMachine, moment, rfc3339
from protocol import codec
from protocol import messages as m

NOW = 1_795_406_706.5


def machine(role: str = "normal") -> SimulatedMachine:
    return SimulatedMachine(Plan(device_id="rvm-1", api_key="k", role=role), NOW)


def command(name: str, args: dict[str, Any] | None = None, *, expires: float = NOW + 60) -> m.Command:
    return m.Command(id="c1", name=name, args=args or {}, issued_at=rfc3339(NOW), expires_at=rfc3339(expires))


@pytest.mark.parametrize(
    ("role", "status"), [("normal", "active"), ("full", "full"), ("hot", "active"), ("maintenance", "maintenance")]
)
def test_each_role_declares_what_it_is(role: str, status: str) -> None:
    hello = machine(role).hello(NOW)
    assert (hello.status, "simulated" in hello.capabilities) == (status, True)
    assert codec.decode_from_machine(codec.encode(hello)).message == hello


def test_a_machine_brings_the_samples_of_its_last_hour_and_frees_them_when_acknowledged() -> None:
    rvm = machine()
    frame = rvm.unsent(0)
    assert frame is not None
    assert (frame.seq, len(frame.samples)) == (12, 12)
    rvm.hear(m.MetricsAck(seq=5), NOW)
    assert rvm.unsent(12) is None
    rest = rvm.unsent(rvm.acked)
    assert rest is not None
    assert (rest.seq, rest.samples) == (12, frame.samples[5:])
    rvm.hear(m.MetricsAck(seq=99), NOW)
    assert rvm.unsent(rvm.acked) is None
    rvm.keep(NOW + 300)
    newest = rvm.unsent(rvm.acked)
    assert newest is not None
    assert (newest.seq, len(newest.samples)) == (13, 1)


def test_a_full_spool_drops_its_oldest_and_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.simulated_machine.SPOOL_SAMPLES", 3)
    rvm = machine()
    frame = rvm.unsent(0)
    assert frame is not None
    assert (frame.seq, len(frame.samples)) == (12, 3)


def test_set_status_is_obeyed_once_and_repeated_until_it_is_received() -> None:
    rvm = machine()
    accepted, final = rvm.hear(command("set_status", {"status": "active", "special_status": "maintenance"}), NOW)
    assert isinstance(accepted, m.CommandUpdate)
    assert isinstance(final, m.CommandUpdate)
    assert (accepted.state, final.state) == ("accepted", "succeeded")
    assert rvm.hello(NOW).special_status == "maintenance"
    rvm.status = "error"
    assert rvm.hear(command("set_status", {"status": "active"}), NOW) == [final]
    assert rvm.status == "error"
    assert rvm.to_repeat() == [final]
    rvm.hear(m.Received(ref="c1"), NOW)
    assert rvm.to_repeat() == []


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (command("levitate"), "unsupported"),
        (command("set_status", {"status": "sleepy"}), "invalid"),
        (command("ping", expires=NOW - 1), "expired"),
    ],
)
def test_what_it_cannot_do_it_rejects(order: m.Command, code: str) -> None:
    (answer,) = machine().hear(order, NOW)
    assert isinstance(answer, m.CommandUpdate)
    assert answer.error is not None
    assert (answer.state, answer.error.code) == ("rejected", code)


def test_bottles_are_reported_until_received_and_only_while_in_service() -> None:
    rvm = machine()
    before = rvm.capacity
    report = rvm.fill()
    assert report is not None
    assert report.capacity == rvm.capacity != before
    assert rvm.to_repeat() == [report]
    rvm.hear(m.Received(ref=report.seq), NOW)
    assert rvm.to_repeat() == []
    assert machine("full").fill() is None


def test_configuration_and_live_interval_are_obeyed() -> None:
    rvm = machine()
    assert rvm.hear(m.Config(version=4, values={"metrics_interval": 60}), NOW) == [m.ConfigApplied(version=4)]
    rvm.hear(m.Live(interval=5), NOW)
    assert (rvm.metrics_interval, rvm.live_interval, rvm.hello(NOW).config_version) == (60, 5, 4)
    assert rvm.live_sample(NOW).live


def test_an_unreadable_deadline_never_expires() -> None:
    assert moment("soon") == float("inf")
    assert moment(rfc3339(NOW)) == NOW


def test_a_machine_stands_in_the_zone_it_was_given() -> None:
    plan = Plan(device_id="rvm-001", api_key="k", timezone="Asia/Jayapura")
    assert SimulatedMachine(plan, 1_000_000.0).hello(1_000_000.0).timezone == "Asia/Jayapura"
