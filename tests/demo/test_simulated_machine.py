"""A simulated machine without a socket: its spool frees on acknowledgement only, and no command runs twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demo.simulated_machine import SimulatedMachine
from demo.simulated_plan import SERVICES, Plan, moment, rfc3339
from protocol import codec
from protocol import messages as m
from protocol.board import Board
from protocol.enrolment import key_hash

NOW = 1_795_406_706.5


def machine(role: str = "normal") -> SimulatedMachine:
    return SimulatedMachine(Plan(device_id="rvm-1", api_key="k", role=role), NOW)


def command(name: str, args: dict[str, Any] | None = None, *, expires: float = NOW + 60) -> m.Command:
    return m.Command(id="c1", name=name, args=args or {}, issued_at=rfc3339(NOW), expires_at=rfc3339(expires))


def welcomed(rvm: SimulatedMachine) -> list[m.MachineMessage]:
    """Without its board."""
    return [each for each in rvm.after_welcome(NOW) if not isinstance(each, m.BoardReport)]


@pytest.mark.parametrize(
    ("role", "status"), [("normal", "active"), ("full", "full"), ("hot", "active"), ("maintenance", "maintenance")]
)
def test_each_role_declares_what_it_is(role: str, status: str) -> None:
    hello = machine(role).hello(NOW)
    assert (hello.status, "simulated" in hello.capabilities) == (status, True)
    assert codec.decode_from_machine(codec.encode(hello)).message == hello


def test_a_machine_brings_the_samples_of_its_last_hours_and_frees_them_when_acknowledged() -> None:
    rvm = machine()
    frame = rvm.spool.unsent(0)
    assert frame is not None
    assert (frame.seq, len(frame.samples)) == (48, 48)
    rvm.handle(m.MetricsAck(seq=5), NOW)
    assert rvm.spool.unsent(48) is None
    rest = rvm.spool.unsent(rvm.spool.acked)
    assert rest is not None
    assert (rest.seq, rest.samples) == (48, frame.samples[5:])
    rvm.handle(m.MetricsAck(seq=99), NOW)
    assert rvm.spool.unsent(rvm.spool.acked) is None
    rvm.keep(NOW + 300)
    newest = rvm.spool.unsent(rvm.spool.acked)
    assert newest is not None
    assert (newest.seq, len(newest.samples)) == (49, 1)


def test_a_full_spool_drops_its_oldest_and_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.simulated_machine.SPOOL_SAMPLES", 3)
    rvm = machine()
    frame = rvm.spool.unsent(0)
    assert frame is not None
    assert (frame.seq, len(frame.samples)) == (48, 3)


def test_set_status_is_obeyed_once_and_repeated_until_it_is_received() -> None:
    rvm = machine()
    accepted, final = rvm.handle(command("set_status", {"status": "active", "special_status": "maintenance"}), NOW)
    assert isinstance(accepted, m.CommandUpdate)
    assert isinstance(final, m.CommandUpdate)
    assert (accepted.state, final.state) == ("accepted", "succeeded")
    assert rvm.hello(NOW).special_status == "maintenance"
    rvm.declaration.status = "error"
    assert rvm.handle(command("set_status", {"status": "active"}), NOW) == [final]
    assert rvm.declaration.status == "error"
    assert welcomed(rvm) == [rvm.zone.report, final]
    rvm.handle(m.Received(ref="c1"), NOW)
    assert welcomed(rvm) == [rvm.zone.report]


def test_a_status_until_is_given_back_by_itself() -> None:
    rvm = machine()
    wanted = {"status": "maintenance", "reason": "belt", "until": rfc3339(NOW + 30)}
    rvm.handle(command("set_status", wanted), NOW)
    assert rvm.due() == pytest.approx(NOW + 30)
    assert rvm.act(NOW + 29) == []
    (report,) = rvm.act(NOW + 30)
    assert isinstance(report, m.StatusReport)
    assert (report.status, report.reason, report.until) == ("active", None, None)


def updates(said: list[m.MachineMessage]) -> list[tuple[str, str | None]]:
    """(state, phase or code) of every update."""
    return [
        (u.state, u.progress.phase if u.progress else u.error.code if u.error else None)
        for u in said
        if isinstance(u, m.CommandUpdate)
    ]


def live_through(rvm: SimulatedMachine, until: float) -> list[m.MachineMessage]:
    """Everything the machine says by itself up to then."""
    said = []
    while (now := rvm.due()) <= until:
        said += rvm.act(max(now, NOW))
    return said


def test_a_service_is_restarted_over_seconds() -> None:
    rvm = machine()
    said = updates(rvm.handle(command("restart_service", {"service": SERVICES[0]}), NOW))
    assert said == [("accepted", None), ("running", "stopping")]
    assert rvm.handle(command("restart_service", {"service": SERVICES[0]}), NOW + 1) == [
        m.CommandUpdate(id="c1", state="accepted")
    ]
    later = updates(live_through(rvm, NOW + 10))
    assert later == [("running", "starting"), ("running", "checking"), ("succeeded", None)]
    assert live_through(rvm, NOW + 10) == []
    unknown = updates(machine().handle(command("restart_service", {"service": "sshd.service"}), NOW))
    assert unknown == [("accepted", None), ("failed", "unknown_service")]


def test_a_job_that_was_cancelled_is_not_done() -> None:
    rvm = machine()
    rvm.handle(command("restart_service", {"service": SERVICES[0]}), NOW)
    assert updates(rvm.handle(m.Cancel(id="c1"), NOW + 1)) == [("rejected", "cancelled")]
    assert live_through(rvm, NOW + 10) == []
    assert updates(rvm.handle(m.Cancel(id="never seen"), NOW)) == [("rejected", "cancelled")]
    never = msgspec.structs.replace(command("ping"), id="never seen")
    assert updates(rvm.handle(never, NOW)) == [("rejected", "cancelled")]


@pytest.mark.parametrize("force", [False, True])
def test_a_reboot_waits_for_the_return_session_unless_it_is_forced(force: bool) -> None:
    rvm = machine("busy")
    live_through(rvm, NOW + 2)
    assert rvm.hello(NOW).busy
    rvm.handle(command("reboot", {"force": force}), NOW + 3)
    assert rvm.reboots is force
    live_through(rvm, NOW + 50)
    assert rvm.reboots
    boot = rvm.boot_id
    rvm.boot(NOW + 60)
    assert rvm.boot_id != boot
    assert not rvm.hello(NOW).busy
    assert ("succeeded", None) in updates(welcomed(rvm))


def test_a_reboot_that_cannot_wait_longer_fails() -> None:
    rvm = machine("busy")
    live_through(rvm, NOW + 2)
    rvm.handle(command("reboot", expires=NOW + 20), NOW + 3)
    assert ("failed", "return_session_open") in updates(live_through(rvm, NOW + 25))
    assert not rvm.reboots


def test_a_reboot_interrupts_what_was_being_done_and_drops_what_was_not_begun() -> None:
    rvm = machine()
    rvm.handle(command("restart_service", {"service": SERVICES[0]}), NOW)
    waiting = msgspec.structs.replace(command("sync_timezone", {"trigger": "person"}), id="c2")
    rvm.handle(waiting, NOW)
    rvm.boot(NOW + 1)
    assert updates(welcomed(rvm)) == [("succeeded", None)], "the present job is the one that rebooted"
    assert ("accepted", None) in updates(rvm.handle(waiting, NOW + 2))


def zones(said: list[m.MachineMessage]) -> list[m.TimezoneReport]:
    return [each for each in said if isinstance(each, m.TimezoneReport)]


def test_the_zone_is_found_set_and_reported_with_the_services_that_need_a_restart() -> None:
    rvm = SimulatedMachine(Plan(device_id="rvm-1", api_key="k", timezone="Asia/Makassar", city="Denpasar"), NOW)
    (first,) = zones(welcomed(rvm))
    assert (first.timezone, first.source, first.applied, first.city) == ("Asia/Makassar", "lookup", True, "Denpasar")
    rvm.handle(command("sync_timezone", {"trigger": "person", "timezone": "Asia/Jayapura"}), NOW)
    (told,) = zones(live_through(rvm, NOW + 10))
    assert (told.timezone, told.sync_method, told.restart) == ("Asia/Jayapura", "manual", list(SERVICES))
    assert (told.source, told.guess, rvm.hello(NOW).timezone) == ("pinned", "Asia/Makassar", "Asia/Jayapura")
    for number, service in enumerate(SERVICES):
        again = msgspec.structs.replace(command("restart_service", {"service": service}), id=f"r{number}")
        rvm.handle(again, NOW + 20)
    assert zones(live_through(rvm, NOW + 40))[-1].restart is None


def test_a_guess_does_not_override_the_pin() -> None:
    rvm = SimulatedMachine(Plan(device_id="rvm-1", api_key="k", role="guessing", timezone="Asia/Makassar"), NOW)
    rvm.handle(m.Config(version=1, values={"pinned_timezone": "Asia/Makassar"}), NOW)
    report = rvm.zone.report
    assert (report.timezone, report.guess, report.applied) == ("Asia/Makassar", "Asia/Jakarta", True)
    rvm.handle(m.Config(version=2, values={"pinned_timezone": ""}), NOW)
    (looked_up,) = zones(rvm.act(NOW + 1))
    assert (looked_up.timezone, looked_up.source) == ("Asia/Jakarta", "lookup")


def test_a_machine_that_may_not_set_its_zone_says_so() -> None:
    rvm = machine("unpermitted")
    (report,) = zones(welcomed(rvm))
    assert report.error is not None
    assert (report.applied, report.system_timezone, report.error.code) == (False, "Etc/UTC", "not_permitted")
    rvm.handle(command("sync_timezone", {"trigger": "person"}), NOW)
    assert ("failed", "not_permitted") in updates(live_through(rvm, NOW + 10))


def test_one_setting_is_overridden_on_a_misconfigured_machine() -> None:
    rvm = machine("misconfigured")
    (applied,) = rvm.handle(m.Config(version=4, values={"metrics_interval": 60}), NOW)
    assert isinstance(applied, m.ConfigApplied)
    assert list(applied.errors or {}) == ["metrics_interval"]
    assert (rvm.metrics_interval, rvm.hello(NOW).config_version) == (300, 4)
    assert applied.own == {"metrics_interval": 300.0}


def test_what_the_hub_takes_back_is_the_machines_own_again() -> None:
    rvm = machine()
    rvm.handle(m.Config(version=4, values={"metrics_interval": 60, "sync_interval": 120}), NOW)
    rvm.handle(m.Config(version=5, values={}), NOW)
    assert (rvm.metrics_interval, rvm.zone.interval) == (300, 3600)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (command("levitate"), "unsupported"),
        (command("set_status", {"status": "sleepy"}), "invalid"),
        (command("ping", expires=NOW - 1), "expired"),
    ],
)
def test_what_it_cannot_do_it_rejects(order: m.Command, code: str) -> None:
    (answer,) = machine().handle(order, NOW)
    assert isinstance(answer, m.CommandUpdate)
    assert answer.error is not None
    assert (answer.state, answer.error.code) == ("rejected", code)


def test_bottles_come_in_return_sessions_and_are_reported_until_received() -> None:
    rvm = machine()
    before = rvm.declaration.capacity
    begins, ends = rvm.act(rvm.due()), rvm.act(rvm.due())
    assert isinstance(begins[0], m.StatusReport)
    assert isinstance(ends[0], m.StatusReport)
    assert (begins[0].busy, ends[0].busy) == (True, False)
    assert ends[0].capacity == rvm.declaration.capacity != before
    assert welcomed(rvm) == [rvm.zone.report, *ends]
    rvm.handle(m.Received(ref=ends[0].seq), NOW)
    assert welcomed(rvm) == [rvm.zone.report]
    assert machine("full").declaration.due() == float("inf")


def test_a_full_machine_is_not_put_into_service() -> None:
    (answer,) = machine("full").handle(command("set_status", {"status": "active"}), NOW)
    assert updates([answer]) == [("rejected", "still_full")]


def test_configuration_and_live_interval_are_obeyed() -> None:
    rvm = machine()
    assert rvm.handle(m.Config(version=4, values={"metrics_interval": 60}), NOW) == [m.ConfigApplied(version=4)]
    rvm.handle(m.Live(interval=5), NOW)
    assert (rvm.metrics_interval, rvm.live_interval, rvm.hello(NOW).config_version) == (60, 5, 4)
    assert rvm.live_sample(NOW).live


def test_an_unreadable_deadline_never_expires() -> None:
    assert moment("soon") == float("inf")
    assert moment(rfc3339(NOW)) == NOW


def test_a_machine_stands_in_the_zone_it_was_given() -> None:
    plan = Plan(device_id="rvm-001", api_key="k", timezone="Asia/Jayapura")
    assert SimulatedMachine(plan, 1_000_000.0).hello(1_000_000.0).timezone == "Asia/Jayapura"


def boards(messages: list[m.MachineMessage]) -> list[Board]:
    return [each.board for each in messages if isinstance(each, m.BoardReport)]


@pytest.mark.parametrize("role", ["normal", "hot", "slow", "busy", "offline"])
def test_its_board_is_plausible_and_its_hello_says_that_it_is_simulated(role: str) -> None:
    """By a capability, which pages write in the reader's language; not by an English word beside a figure."""
    rvm = machine(role)
    hello = rvm.hello(NOW)
    assert "simulated" in hello.capabilities
    assert "simulated" not in str(hello.hardware)
    (board,) = boards(rvm.after_welcome(NOW))
    report = m.BoardReport(board=board)
    assert codec.decode_from_machine(codec.encode(report)).message == report
    assert board.jetpack == "6.2.1"
    sample = rvm.live_sample(NOW).samples[0]
    assert (board.rails[0].watts, board.sensors[0].celsius) == (sample.power_w, sample.temperature)
    assert (
        sum(rail.watts or 0 for rail in board.rails[1:]) < (board.rails[0].watts or 0) < (board.rails[0].limit_w or 0)
    )
    assert ((board.disks[0].worn or 0) >= 90) == (role == "slow")


def test_a_board_is_reported_again_on_each_link_and_when_it_is_news() -> None:
    rvm = machine()
    assert len(boards(rvm.after_welcome(NOW))) == 1
    assert rvm.due() <= NOW + 60
    assert boards(rvm.act(NOW + 30)) == boards(rvm.act(NOW + 90)) == [], "figures that never stand still are no news"
    assert len(boards(rvm.act(NOW + 700))) == 1
    rvm.handle(m.Live(interval=1.0), NOW + 701)
    assert len(boards(rvm.act(NOW + 761))) == 1, "somebody watches"
    assert len(boards(rvm.after_welcome(NOW + 762))) == 1


def offered(messages: list[m.MachineMessage]) -> m.KeyOffer:
    (offer,) = [each for each in messages if isinstance(each, m.KeyOffer)]
    return offer


def test_a_key_is_renewed_as_a_real_agent_does_it() -> None:
    kept: list[str] = []
    rvm = SimulatedMachine(Plan(device_id="rvm-1", api_key="k"), NOW, keep_key=kept.append)
    rvm.after_welcome(NOW)
    offer = offered(rvm.handle(command("renew_key"), NOW))
    assert (offer.command, rvm.key.in_use, kept) == ("c1", "k", [])
    rvm.handle(m.Received(ref=offer.key_prefix), NOW)
    new = rvm.key.in_use
    assert rvm.key.wants_link
    assert (key_hash(new), kept) == (offer.key_hash, []), "the old one counts until the new one has opened a link"
    assert offered(rvm.after_welcome(NOW)) == offer
    rvm.handle(m.Received(ref=offer.key_prefix), NOW)
    assert (rvm.key.in_use, rvm.key.wants_link, kept) == (new, False, [new])
    assert updates(rvm.act(NOW + 1))[-1] == ("succeeded", None)
    assert not [each for each in rvm.after_welcome(NOW) if isinstance(each, m.KeyOffer)]


def test_a_new_key_that_the_hub_does_not_want_is_forgotten_and_the_old_one_stays() -> None:
    rvm = machine()
    rvm.after_welcome(NOW)
    offer = offered(rvm.handle(command("renew_key"), NOW))
    rvm.handle(m.Received(ref=offer.key_prefix), NOW)
    rvm.key.refused()
    assert rvm.key.in_use == "k"
    assert offered(rvm.after_welcome(NOW)) == offer
    rvm.handle(m.Error(code="key_refused", message="nobody asks", ref=offer.key_prefix), NOW)
    assert rvm.key.in_use == "k"
    assert updates(rvm.act(NOW + 1))[-1] == ("failed", "key_refused")
