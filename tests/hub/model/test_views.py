"""The JSON everybody reads: complete, without secrets, its times in one form."""

from __future__ import annotations

import msgspec
import pytest

from db.records import TokenRow
from hub.model.access import Principal
from hub.model.changes import EventHappened, SampleSeen
from hub.model.fleet import Fleet
from hub.model.views import answer, command_view, event_view, machine_delta, machine_detail, machine_view, session_view
from tests.hub.commands.rules.test_drafts import command
from tests.hub.remote.rules.test_remote_life import session
from tests.support.machines import NOW, machine, sample


@pytest.mark.parametrize("times", ["iso", "ms"])
def test_the_view_has_no_secret_and_its_times_one_form(times: str) -> None:
    one = machine(last_seen_at=NOW, api_key="hash-of-key")
    one.readings, one.readings_at = sample(cpu_usage=1.5, reasons={"gpu_usage": "none"}), NOW
    view = machine_view(one, times=times)  # type: ignore[arg-type]
    assert "hash-of-key" not in str(view)
    expected = "2026-11-23T09:00:00.000Z" if times == "iso" else 1795424400000
    assert view["created_at"] == view["last_seen_at"] == view["readings"]["taken_at"] == expected
    assert view["readings"]["cpu_usage"] == 1.5
    assert view["readings"]["gpu_usage"] is None
    assert view["readings"]["reasons"] == {"gpu_usage": "none"}
    assert machine_delta(one, {"status"}) == {"id": 7, "status": "active"}


def test_what_a_machine_words_itself_is_short_among_others_and_whole_alone() -> None:
    wordy = {f"{n}": "w" * 1000 for n in range(60)}
    names = tuple(f"{n:03}{'n' * 97}" for n in range(99))
    one = machine(hardware={"model": "m" * 5000, **wordy}, capabilities=(*names, "ping"), config_errors=wordy)
    fleet = Fleet([one])
    fleet.apply(
        SampleSeen(
            rvm_id=one.id, sample=sample(reasons={"gpu_usage": "w" * 500, **wordy}), taken_at=NOW, received_at=NOW
        )
    )
    assert len(msgspec.json.encode(machine_view(one))) < 4096
    assert machine_view(one)["commands"] == ["ping"]
    assert (machine_view(one)["config_refused"], machine_view(one)["model"]) == (60, "m" * 100)
    assert machine_view(one)["readings"]["reasons"] == {"gpu_usage": "w" * 200}
    assert one.recent[-1][1].reasons is None
    alone = machine_detail(one)
    assert (alone["hardware"], alone["capabilities"]) == (one.row.hardware, [*names, "ping"])
    assert alone["config_errors"] == wordy


@pytest.mark.parametrize("hardware", [None, {}, {"model": 7}, {"model": None, "machine": ["x"]}])
def test_a_machine_that_does_not_report_its_model_has_none(hardware: dict[str, object] | None) -> None:
    assert machine_view(machine(hardware=hardware))["model"] is None


@pytest.mark.parametrize(
    "reported",
    [None, {}, "plain", {"client_certificate_until": 5}, {"client_certificate_until": "soon"},
     {"client_certificate_until": "2026-12-01T00:00:00"}, {"client_certificate_until": "0001-01-01T00:00:00Z"},
     {"client_certificate_until": "0001-01-20T00:00:00+14:00"},
     {"client_certificate_until": "9999-12-31T23:59:59-12:00"}],
)  # fmt: skip
def test_a_machine_that_does_not_say_when_its_certificate_ends_has_none(reported: object) -> None:
    assert machine_view(machine(hardware={"hub_tls": reported}))["certificate"] is None


def test_a_machines_certificate_has_the_moments_of_its_warnings() -> None:
    reported = {"mode": "pinned", "client_certificate_until": "2026-12-31T08:00:00Z"}
    assert machine_view(machine(hardware={"hub_tls": reported}))["certificate"] == {
        "soon_at": "2026-12-01T08:00:00.000Z", "very_soon_at": "2026-12-24T08:00:00.000Z",
        "ends_at": "2026-12-31T08:00:00.000Z",
    }  # fmt: skip


def test_a_session_a_command_and_an_event_are_shown_with_their_times_as_asked() -> None:
    shown = session_view(session(ports=(5000,)), 2, device_id="orin-7")
    assert (shown["start_time"], shown["ports"], shown["end_time"]) == ("2026-11-23T09:00:00.000Z", [5000], None)
    assert (shown["recordings"], shown["device_id"]) == (2, "orin-7")
    assert command_view(command())["issued_at"] == "2026-11-23T09:00:00.000Z"
    assert command_view(command(), times="ms")["sent_at"] is None
    event = EventHappened(at=NOW, code="ping", actor="clock", id=3)
    assert (event_view(event)["at"], event_view(event, times="ms")["at"]) == (
        "2026-11-23T09:00:00.000Z", int(NOW.timestamp() * 1000),
    )  # fmt: skip


class TokenAnswer(msgspec.Struct):
    """Of a token: what everybody who sees it may know."""

    id: int
    created_at: str
    revoked_at: str | None
    secret: str | None


def test_an_answer_has_what_its_shape_names_and_nothing_else() -> None:
    token = TokenRow(id=4, user_id=1, name="t", prefix="p", hash="hash-of-token", created_at=NOW)
    shown = answer(TokenAnswer, token, secret="once")
    assert shown == {"id": 4, "created_at": "2026-11-23T09:00:00.000Z", "revoked_at": None, "secret": "once"}
    owner = Principal(
        kind="user", id=1, name="A", role="technician", machines=frozenset({2, 1}), via="token", credential_id=4
    )
    assert answer(Reached, owner) == {"machines": [1, 2]}


class Reached(msgspec.Struct):
    """Which machines somebody reaches."""

    machines: list[int]
