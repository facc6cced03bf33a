"""Every kind of durable Change leaves the hub together with its line in the record, whoever caused it.

And every line has what its sentence needs. What needs no line is listed with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.backup_records import BackupPartRow
from db.enrolment_records import EnrolmentRow
from db.records import (
    BootRow,
    CounterRow,
    MachineRow,
    RecordingRow,
    SessionRow,
    SignInLinkRow,
    TokenRow,
    UserRow,
    ZoneRow,
    ZoneSyncRow,
    is_open,
)
from db.table_row import TableRow
from db.trouble_records import TroubleRow
from hub.audit.rules import CODES, lacking
from hub.commands import rules as command_rules
from hub.kernel import recorder
from hub.links import rules as link_rules
from hub.machine_settings import rules as reports
from hub.model import actors, changes
from hub.model.budgets import EVENTS_AT_ONCE, WINDOW_S, ReportedEvents
from hub.model.changes import Change, Drop, EventHappened, Patch
from hub.people import rules as people_rules
from hub.remote.recordings import rules
from hub.remote.rules import life as remote_life
from hub.status import rules as status_rules
from protocol import messages as m
from tests.hub.commands.rules.test_drafts import command
from tests.support.api_hub import ORIGIN, ApiHub
from tests.support.database_rows import recording_row
from tests.support.machines import NOW, hello, machine
from tests.support.page_visitor import browser

SILENT: dict[type[Change], str] = {
    changes.Observed: "not durable: what the hub sees, or the machine's daily work",
    changes.SampleSeen: "readings are the cargo",
    changes.RowsExpired: "retention is a rule that is written down; what it deletes has its own lines",
    changes.EventHappened: "it is the line",
}
"""Kinds that may travel without a line, each with its reason. The moments at which they are news are tried below."""
SILENT_ROWS: dict[type[TableRow], str] = {
    BackupPartRow: "the parts of an upload are cargo: its end has the line",
    BootRow: "readings are the cargo",
    CounterRow: "how far the clock is believed is no fact of the fleet, and a version has its settings' line",
    TroubleRow: "what is wrong with a machine follows from what has its line",
    ZoneRow: "an automatic attempt that changed nothing is counted",
    ZoneSyncRow: "an automatic attempt that changed nothing is counted",
}
GENERIC = (changes.Put, changes.Patch, changes.Move, changes.Drop)
SILENT_MEMBERS: dict[type[TableRow], tuple[frozenset[str], str]] = {
    MachineRow: (
        frozenset(
            {
                "agent_version",
                "board",
                "board_report",
                "board_report_at",
                "boot_id",
                "capabilities",
                "clock_offset_s",
                "config_applied_at",
                "config_errors",
                "config_own",
                "config_version",
                "connection_epoch",
                "close_reason",
                "hardware",
                "last_ip",
                "last_seen_at",
                "ntp",
                "simulated",
                "timezone",
                "updated_at",
            }
        ),
        "what a machine says of itself is news with a new boot, version or zone, and that has its line",
    ),
    TokenRow: (frozenset({"last_used_at", "last_used_ip"}), "using a credential changes nothing"),
    SessionRow: (frozenset({"expires_at", "last_used_at"}), "using a session changes nothing"),
    TroubleRow: (frozenset({"ended_at"}), "that a trouble is over follows from what has its line"),
    EnrolmentRow: (frozenset({"ip_address", "last_seen_at"}), "a machine that waits asks on"),
}
"""Of a table: the columns that may change without a line, and why."""
TRIED_ELSEWHERE: dict[type[Change], str] = {}

Group = Sequence[Change]


def every_kind() -> list[type[Change]]:
    kinds = [kind for kind in vars(changes).values() if isinstance(kind, type)]
    return [kind for kind in dict.fromkeys(kinds) if issubclass(kind, Change) and kind not in (Change, *GENERIC)]


def is_news(change: Change) -> bool:
    """Whether this very Change must have its line: those of SILENT only at the moments that change something."""
    if isinstance(change, changes.Move):  # progress is no mutation; the end is, and has its line
        return not is_open(change.row)
    if isinstance(change, changes.Put) and type(change.row) in SILENT_ROWS:
        return False
    if isinstance(change, Drop) and change.of is BackupPartRow:
        return False
    if isinstance(change, changes.Patch):
        silent, _ = SILENT_MEMBERS.get(change.of, (frozenset(), ""))
        if change.of is RecordingRow:  # its end has the session's line, and storing it changes nothing of it
            return change.values.get("state") == "lost"
        return bool(change.values) and not silent >= change.values.keys()
    return type(change) not in SILENT


class Groups:
    """What was committed together, by the hub of a test."""

    def __init__(self) -> None:
        self.found: list[Group] = []

    def __call__(self, committed: Any) -> None:
        self.found.append(list(committed))


def unrecorded(groups: Sequence[Group]) -> list[Group]:
    return [g for g in groups if any(map(is_news, g)) and not any(isinstance(c, EventHappened) for c in g)]


def incomplete(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    events = [change for group in groups for change in group if isinstance(change, EventHappened)]
    checked = [(e.code, lacking(e.code, e.params, e.before, e.after)) for e in events]
    return [(code, missing) for code, missing in checked if missing]


def test_every_durable_kind_is_known_to_this_law() -> None:
    table = recorder._RECIPES
    assert set(SILENT) <= set(every_kind())
    assert set(every_kind()) <= set(table)
    assert all(reason for reason in SILENT.values())


def machine_groups() -> list[Group]:
    """What machines and the clock cause, decided by the same functions that the hub uses."""
    here = machine()
    moved = status_rules.status_changes(
        here, status_rules.DeclaredStatus("full", None, 100, since=NOW, by=actors.machine(here.id))
    )  # fmt: skip
    queued = command("queued", name="ping", args={})
    running = command("sent", name="ping", args={})
    seen = link_rules.Takeovers()
    reported = ReportedEvents()
    for _ in range(EVENTS_AT_ONCE + 1):
        reported.take(here.id, 0.0, NOW)
    ended = msgspec.structs.replace(running, state="expired", finished_at=NOW)
    update = m.CommandUpdate(id=ended.id, state="succeeded")
    here.pending[running.id] = running
    quarantine = link_rules.quarantine(here, seen, NOW)
    here.row = msgspec.structs.replace(here.row, quarantined_until=NOW + timedelta(minutes=5))
    return [
        link_rules.introduce(machine(), hello(), 1, "10.0.0.9", NOW, "Asia/Jakarta"),
        link_rules.report_event(
            here, "boot", m.Event(seq=1, code="door", params={}, timestamp=""), NOW, "Asia/Jakarta"
        ),
        moved,
        remote_life.command_moved(here, update, NOW),
        command_rules.expire(machine(), queued, queued.expires_at + timedelta(hours=1)),
        command_rules.late(ended, update, NOW),
        reports.applied(machine(), 7, {}, NOW),
        reports.applied(machine(), 8, {"cpu_threshold": "no"}, NOW),
        quarantine,
        link_rules.release(here, actors.user(1), NOW),
        reported.due(WINDOW_S, NOW),
        rules.lost(recording_row(id=1), NOW),
    ]


def test_what_machines_and_the_clock_cause_is_recorded() -> None:
    groups = machine_groups()
    assert [index for index, group in enumerate(groups) if not group] == [], "each of them causes something"
    assert unrecorded(groups) == []
    assert [group for group in groups if not any(isinstance(c, EventHappened) for c in group)] == []
    assert incomplete(groups) == []


def people_groups() -> list[Group]:
    """What people cause that the test of the API's operations leaves out."""
    token = TokenRow(id=1, user_id=2, name="t", prefix="rvmu_ABCDEFGH", hash="h", created_at=NOW)
    return [people_rules.revoke_token(token, NOW, "user:2")]


def test_what_people_cause_beyond_the_api_is_recorded() -> None:
    assert unrecorded(people_groups()) == []
    assert incomplete(people_groups()) == []


async def test_a_way_in_is_recorded(hub: ApiHub) -> None:
    together = Groups()
    async with await browser(hub) as admin:
        hub.context.announce.listen(together)
        added = await admin.post("/admin/users", data={"name": "N", "email": "n@b.c", "role": "viewer"})
        page = await admin.get(added.headers["location"])
        link = re.search(r"/signin#(rvml_[\w-]+)", page.text)
        assert link
        again = await admin.post(f"/admin/users/{hub.users['viewer']}/link")
        assert again.status_code == 303
    async with hub.client(Origin=ORIGIN) as nobody:
        assert (await nobody.post("/signin", data={"link": link[1]})).status_code == 303
    made = [change for group in together.found for change in group]
    assert list(changes.patches(made, SignInLinkRow))
    for of in (UserRow, SignInLinkRow, SessionRow):
        assert list(changes.put_rows(made, of)), of
    assert unrecorded(together.found) == []
    assert incomplete(together.found) == []


def untried(seen: Sequence[Group]) -> set[type[Change]]:
    """The kinds that none of these tests has seen beside its line; `seen` are the groups of the API's operations."""
    groups = [*seen, *machine_groups(), *people_groups()]
    tried = {type(change) for group in groups for change in group}
    return set(every_kind()) - set(SILENT) - set(TRIED_ELSEWHERE) - tried


@pytest.mark.parametrize("change", [
    Drop(MachineRow, 1), changes.Patch(TokenRow, 1, {"revoked_at": NOW}),
    Patch(MachineRow, 1, {"quarantined_until": None, "updated_at": NOW}),
])  # fmt: skip
def test_the_law_sees_what_goes_unrecorded(change: Change) -> None:
    assert unrecorded([[change]]) == [[change]]
    assert unrecorded([[people_rules.use_token(1, NOW, None)]]) == []
    event = EventHappened(at=NOW, code="machine.removed", actor="user:1", params={"name": "x"})
    assert incomplete([[event]]) == [("machine.removed", ["device_id"])]
    assert set(CODES) >= {event.code}
