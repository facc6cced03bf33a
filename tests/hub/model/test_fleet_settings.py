"""Settings and zones as the fleet in memory takes them: at once, for the machines they are for, and told as touched."""

from __future__ import annotations

from typing import Any

from db.records import MachineRow
from hub.machine_settings.rules import replacing
from hub.model.changes import Change, EventHappened, Patch, Put, SampleSeen, move
from hub.model.effective_settings import DesiredSettings
from hub.model.fleet import SESSION_MEMBERS, SETTINGS_MEMBERS, Fleet, Touched
from hub.model.views import MEMBERS, machine_view
from tests.hub.remote.rules.test_remote_life import session
from tests.support.machines import NOW, machine, sample


def written(rvm_id: int | None, version: int, *, before: int = 0, **values: Any) -> Change:
    """The Change of the settings' own row, after those of the counter."""
    return replacing(rvm_id, DesiredSettings(values, version, NOW, "user:1"), before)[-1]


def fleet_of_two() -> Fleet:
    fleet = Fleet([machine(7), machine(8)])
    for rvm_id in (7, 8):
        fleet.apply(SampleSeen(rvm_id=rvm_id, sample=sample(cpu_usage=85.0), taken_at=NOW, received_at=NOW))
    return fleet


def test_a_machines_own_limit_judges_its_newest_readings_at_once() -> None:
    fleet = fleet_of_two()
    touched = fleet.apply_all([written(7, 1, cpu_threshold=80.0)])
    assert touched == [Touched(7, SETTINGS_MEMBERS)]
    assert (fleet.machines[7].health, fleet.machines[8].health) == ("warning", "ok")
    assert machine_view(fleet.machines[7])["config_wanted"] == 1
    fleet.apply_all([written(7, 2, before=1)])
    assert fleet.machines[7].health == "ok"


def test_the_fleets_limit_judges_everybody_without_a_value_of_their_own() -> None:
    fleet = fleet_of_two()
    fleet.apply_all([written(7, 1, cpu_threshold=95.0)])
    event = EventHappened(at=NOW, code="x", actor="clock")
    touched = fleet.apply_all([written(None, 2, cpu_threshold=70.0), event])
    assert touched == [Touched(7, SETTINGS_MEMBERS), Touched(8, SETTINGS_MEMBERS)]
    assert (fleet.machines[7].health, fleet.machines[8].health) == ("ok", "critical")
    assert [m.effective_settings.version for m in fleet.machines.values()] == [2, 2]
    assert fleet.settings.newest == 2


APPLIED_MEMBERS = frozenset({"config_version", "config_refused", "config_applied_at", "updated_at"})


def runs(rvm_id: int, version: int, errors: dict[str, str] | None = None, own: dict[str, Any] | None = None) -> Patch:
    values = {"config_version": version, "config_errors": errors, "config_own": own, "config_applied_at": NOW,
              "updated_at": NOW}  # fmt: skip
    return Patch(MachineRow, rvm_id, values, must="id")


def test_a_machine_that_comes_later_has_the_fleets_settings() -> None:
    fleet = Fleet()
    fleet.apply_all([written(None, 1, metrics_interval=10.0)])
    fleet.apply(
        Put(
            MachineRow(
                id=3, device_id="d", name="n", status_since=NOW, status_by="user:1", created_at=NOW, updated_at=NOW
            )
        )
    )  # fmt: skip
    assert (fleet.machines[3].effective_settings.metrics_interval, fleet.machines[3].effective_settings.version) == (
        10.0,
        1,
    )


def test_what_a_machine_runs_stands_beside_what_it_should() -> None:
    fleet = fleet_of_two()
    fleet.apply_all([written(None, 7, cpu_threshold=70.0)])
    touched = fleet.apply(runs(7, 6, {"a": "b"}, None))
    assert touched == Touched(7, APPLIED_MEMBERS)
    view = machine_view(fleet.machines[7])
    assert (view["config_wanted"], view["config_version"], view["config_refused"]) == (7, 6, 1)
    assert APPLIED_MEMBERS | SETTINGS_MEMBERS <= MEMBERS


def test_what_a_machines_file_sets_judges_its_newest_readings_until_somebody_writes_here() -> None:
    fleet = fleet_of_two()
    file = {"cpu_threshold": 80.0, "metrics_interval": 60.0}
    touched = fleet.apply(runs(7, 0, None, file))
    assert touched == Touched(7, APPLIED_MEMBERS | SETTINGS_MEMBERS)
    one = fleet.machines[7]
    assert (one.health, fleet.machines[8].health, one.effective_settings.metrics_interval) == ("warning", "ok", 60.0)
    fleet.apply_all([written(None, 1, cpu_threshold=95.0)])
    assert (one.health, one.effective_settings.metrics_interval) == ("ok", 60.0)
    fleet.apply_all([written(7, 2, metrics_interval=20.0)])
    assert one.effective_settings.metrics_interval == 20.0
    why = {"metrics_interval": "environment: ..."}
    fleet.apply(runs(7, 2, why, file))
    assert one.effective_settings.metrics_interval == 60.0
    fleet.apply_all([written(7, 3, before=2), written(None, 4, before=1)])
    fleet.apply(runs(7, 4))
    assert (one.effective_settings.metrics_interval, one.effective_settings.limits.cpu_usage) == (300.0, 90.0)


def test_news_of_a_machine_that_is_gone_is_no_news() -> None:
    fleet = fleet_of_two()
    gone = [
        written(9, 1, cpu_threshold=70.0),
        runs(9, 6, None, None),
    ]
    assert fleet.apply_all(gone) == []


def test_a_machine_that_speaks_by_rest_was_seen() -> None:
    fleet = fleet_of_two()
    assert fleet.apply(Patch(MachineRow, 7, {"last_seen_at": NOW})) == Touched(7, frozenset({"last_seen_at"}))
    assert fleet.machines[7].last_seen_at == NOW


def test_a_session_is_held_until_it_has_ended() -> None:
    fleet, one = fleet_of_two(), session()
    assert fleet.apply(Put(one)) == Touched(7, SESSION_MEMBERS)
    assert machine_view(fleet.machines[7])["lease"]["id"] == 4
    fleet.apply(move(one, status="ended"))
    assert fleet.machines[7].remote_sessions == {}
    assert machine_view(fleet.machines[7])["lease"] is None
