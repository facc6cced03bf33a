"""Every mutation leaves exactly one line in the record, with what was before and after, and no secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

from db.enrolment_records import EnrolmentCodeRow
from db.records import MachineRow
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.credentials import hash_of
from hub.remote.recordings.service import Recordings
from hub.remote.tunnel.registry import Tunnels
from hub.routes import OPERATIONS
from tests.hub.commands.rules.test_drafts import command
from tests.hub.remote.test_remote_files import FileStream
from tests.hub.web.api.test_every_change_is_recorded import Group, Groups, incomplete, unrecorded, untried
from tests.support.api_hub import PASSWORD, ApiHub
from tests.support.recording_room import begun
from tests.support.session_record import lease
from tests.support.until import until


class Record:
    """What was announced meanwhile."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, changes: Any) -> None:
        self.changes.extend(changes)

    def take(self) -> list[EventHappened]:
        # What the hub observes meanwhile (on a slow computer a machine that says nothing is late) is nobody's mutation.
        happened = (change for change in self.changes if isinstance(change, EventHappened))
        events = [event for event in happened if event.code != "connection.changed"]
        self.changes.clear()
        return events


@asynccontextmanager
async def listening(hub: ApiHub) -> AsyncIterator[Record]:
    record = Record()
    hub.context.announce.listen(record)
    yield record


class Folders:
    """The tunnel to a machine that gives and takes every file."""

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> FileStream:
        said = b"[]" if args["op"] == "list" else b"log"
        return FileStream(info={"size": len(said)}, chunks=[said], word_when_finished=args["op"] == "put")


def mutations(viewer: int, operator: int, trouble: int) -> list[tuple[str, str, str, Any, str]]:
    """Who does what where with which body, and the event it leaves."""
    user = {"email": "n@b.c", "name": "N", "role": "viewer"}
    login = {"email": "boss@example.com", "password": PASSWORD}
    return [
        *trouble_steps(trouble),
        ("admin", "add_machine", "/v2/rvms", {"name": "third"}, "machine.added"),
        ("admin", "import_machines", "/v2/machine-sheet", {"csv": "name\nfifth"}, "machine.added"),
        ("admin", "edit_machine", "/v2/rvms/1", {"name": "first"}, "machine.edited"),
        ("operator", "change_status", "/v2/rvms/1/status", {"status": "full"}, "command.issued"),
        ("one", "change_status", "/v2/rvms/1/status", {"status": "full"}, "status.changed"),
        ("operator", "release_machine", "/v2/rvms/1/release", None, "machine.released"),
        ("operator", "send_command", "/v2/rvms/1/commands", {"name": "ping"}, "command.issued"),
        ("admin", "change_config", "/v2/rvms/1/config", {"cpu_threshold": 80}, "config.changed"),
        ("one", "settings_applied", "/v2/rvms/1/config/applied", {"version": 1}, "config.applied"),
        ("admin", "change_setting", "/v2/rvms/1/config/cpu-threshold", {"value": None}, "config.changed"),
        ("admin", "change_fleet_config", "/v2/config", {"cpu_threshold": 85}, "config.changed"),
        (
            "one",
            "report_timezone",
            "/v2/timezone/sync",
            {"device_id": 1, "timezone": "Asia/Jayapura"},
            "timezone.synced",
        ),
        ("operator", "sync_timezone", "/v2/timezone/sync/manual", {"device_id": 1}, "command.issued"),
        ("operator", "send_commands", "/v2/commands", {"name": "ping", "rvms": [1]}, "command.issued"),
        ("operator", "cancel_command", "/v2/commands/never-left/cancel", None, "command.finished"),
        ("technician", "cancel_command", "/v2/commands/left/cancel", None, "command.cancel_asked"),
        ("one", "answer_command", "/v2/commands/left/updates", {"state": "failed"}, "command.finished"),
        *remote_access(operator),
        *enrolment_steps(),
        *notification_steps(),
        ("admin", "accept_board", "/v2/rvms/1/board/accept", None, "machine.board_accepted"),
        ("admin", "refuse_board", "/v2/rvms/2/board/refuse", None, "machine.board_refused"),
        ("operator", "start_backup", "/v2/rvms/1/backup/start", {}, "command.issued"),
        ("one", "begin_backup_upload", "/v2/rvms/1/backups/1/upload", {}, ""),
        ("admin", "renew_key", "/v2/rvms/1/key/renewal", None, "command.issued"),
        ("admin", "withdraw_key", "/v2/rvms/2/key/renewal", None, "machine.key_withdrawn"),
        ("admin", "rotate_key", "/v2/rvms/1/key", None, "machine.key_rotated"),
        ("admin", "remove_machine", "/v2/rvms/2", None, "machine.removed"),
        ("technician", "play_recording", "/v2/recordings/1/play", None, "recording.played"),
        ("operator", "download_recording", "/v2/recordings/1/download", None, "recording.downloaded"),
        ("admin", "delete_recording", "/v2/recordings/1", None, "recording.deleted"),
        ("admin", "add_user", "/v2/users", user | {"password": PASSWORD}, "user.added"),
        ("viewer", "edit_account", "/v2/auth/me", {"name": "V"}, "user.edited"),
        ("viewer", "create_token", "/v2/tokens", {"name": "t"}, "token.created"),
        ("admin", "invite_user", f"/v2/users/{viewer}/invitation", None, "sign_in.link_made"),
        ("admin", "end_lock", f"/v2/users/{viewer}/lock", None, ""),
        ("viewer", "end_own_session", "/v2/auth/sessions/3", None, "sign_in.sessions_ended"),
        ("admin", "end_user_session", "/v2/users/4/sessions/4", None, "sign_in.sessions_ended"),
        ("admin", "end_user_sessions", f"/v2/users/{operator}/sessions", None, "sign_in.sessions_ended"),
        ("boss_session", "sign_out_everywhere", "/v2/auth/sessions", None, "sign_in.sessions_ended"),
        ("admin", "edit_user", f"/v2/users/{viewer}", {"role": "operator"}, "user.edited"),
        ("admin", "sign_in", "/v2/auth/login", login, "sign_in.succeeded"),
        ("admin", "sign_in", "/v2/auth/login", login | {"password": "x"}, "sign_in.failed"),
        ("boss_session", "sign_out", "/v2/auth/logout", None, "sign_in.signed_out"),
        ("admin", "remove_user", f"/v2/users/{viewer}", None, "user.removed"),
    ]


def trouble_steps(number: int) -> list[tuple[str, str, str, Any, str]]:
    below = f"/v2/troubles/{number}"
    return [
        ("operator", "take_trouble", f"{below}/take", None, "trouble.taken"),
        ("operator", "snooze_trouble", f"{below}/snooze", {"choice": "1h"}, "trouble.snoozed"),
        ("operator", "note_trouble", f"{below}/note", {"note": "On its way"}, "trouble.noted"),
        ("operator", "unsnooze_trouble", f"{below}/unsnooze", None, "trouble.unsnoozed"),
        ("operator", "release_trouble", f"{below}/release", None, "trouble.released"),
    ]


CODE = "RVM-7K4Q-9D2M-3XHT"


def enrolment_steps() -> list[tuple[str, str, str, Any, str]]:
    def board(number: int) -> dict[str, str]:
        return {"code": CODE, "key_prefix": f"rvmk_AAAAAAA{'ABCD'[number]}", "key_hash": f"{number:064d}"}

    return [
        ("viewer", "save_view", "/v2/views", {"name": "Full ones", "status": "full"}, "view.saved"),
        ("viewer", "edit_view", "/v2/views/1", {"name": "Full"}, "view.edited"),
        ("viewer", "remove_view", "/v2/views/1", None, "view.removed"),
        ("admin", "make_enrolment_code", "/v2/enrolment-codes", {"uses": 2}, "enrolment.code_made"),
        *(("viewer", "enrol", "/v2/enrol", board(number), "enrolment.requested") for number in range(4)),
        ("viewer", "enrol", "/v2/enrol", board(0), ""),
        ("admin", "approve_enrolment", "/v2/enrolments/1/approve", {"name": "fourth"}, "machine.enrolled"),
        ("admin", "reject_enrolment", "/v2/enrolments/2/reject", None, "enrolment.rejected"),
        ("admin", "approve_enrolments", "/v2/enrolments/approve", {"ids": [3]}, "machine.enrolled"),
        ("admin", "reject_enrolments", "/v2/enrolments/reject", {"ids": [4]}, "enrolment.rejected"),
        ("admin", "revoke_enrolment_code", "/v2/enrolment-codes/1", None, "enrolment.code_revoked"),
    ]


def notification_steps() -> list[tuple[str, str, str, Any, str]]:
    places = "/v2/notification-destinations"
    made = {"name": "Operators", "address": "json://127.0.0.1:9/hook"}
    return [
        ("admin", "add_notification_destination", places, made, "notification.destination_added"),
        ("admin", "edit_notification_destination", f"{places}/1", {"after_s": 60}, "notification.destination_edited"),
        ("admin", "test_notification_destination", f"{places}/1/test", None, "notification.tested"),
        ("admin", "remove_notification_destination", f"{places}/1", None, "notification.destination_removed"),
    ]


def remote_access(operator: int) -> list[tuple[str, str, str, Any, str]]:
    """Each commit has its line: a session and its command are two."""
    below, approval = "/v2/rvms/1/remote-access", "/v2/rvms/1/config/remote_access_approval"
    begun, at_site = "remote.requested command.issued", {"admin_id": operator}
    return [
        ("operator", "open_machine_page", f"{below}/pages", {"port": 5000}, "remote.page_opened"),
        ("operator", "list_machine_files", f"{below}/files/list", {"path": "/x"}, ""),
        ("operator", "download_machine_file", f"{below}/files/download", {"path": "/x/a"}, "remote.file_downloaded"),
        ("operator", "upload_machine_file", f"{below}/files/upload?path=/x/b", {}, "remote.file_uploaded"),
        ("operator", "stop_remote_access", f"{below}/stop", None, "remote.ended"),
        ("operator", "start_remote_access", f"{below}/start", None, begun),
        ("operator", "stop_remote_access", f"{below}/stop", None, "remote.ended command.issued"),
        ("one", "start_remote_access", f"{below}/start", at_site, "remote.requested remote.started command.issued"),
        ("one", "extend_remote_access", f"{below}/extend", {"duration": 60}, "remote.extended command.issued"),
        ("one", "stop_remote_access", f"{below}/stop", None, "remote.ended command.issued"),
        ("admin", "change_setting", approval, {"value": True}, "config.changed"),
        ("operator", "start_remote_access", f"{below}/start", None, "remote.requested"),
        ("admin", "approve_remote_access", f"{below}/approve", {"session_id": 4}, "remote.approved command.issued"),
        ("operator", "stop_remote_access", f"{below}/stop", None, "remote.ended command.issued"),
        ("operator", "start_remote_access", f"{below}/start", None, "remote.requested"),
        ("admin", "decline_remote_access", f"{below}/decline", {"session_id": 5}, "remote.declined"),
    ]


async def test_every_operation_that_changes_something_leaves_one_event(any_hub: ApiHub) -> None:
    hub = any_hub
    await hub.add_user("boss", "admin", password=PASSWORD)
    hub.context.fleet.machines[1].linked = True
    now = hub.context.clock()
    await hub.context.announce(
        Put(command("queued", id="never-left", name="ping", args={}, rvm_id=1, expires_at=now + timedelta(hours=1))),
        Put(command("sent", id="left", rvm_id=1, expires_at=now + timedelta(hours=1))),
        Patch(MachineRow, 1, {"quarantined_until": now + timedelta(minutes=5), "updated_at": now}),
        Patch(MachineRow, 2, {"next_api_key": "0" * 64, "next_api_key_prefix": "rvmk_BAAAAAAA"}),
        *(Patch(MachineRow, rvm_id, {"board_other": {"serial": "2"}, "board_other_at": now}) for rvm_id in (1, 2)),
        Put(
            EnrolmentCodeRow(
                hash=hash_of(CODE), prefix="RVM-7K…", uses=4, approval="waiting", created_by="user:1", created_at=now,
                expires_at=now + timedelta(hours=1),
            )
        ),
    )  # fmt: skip
    recordings = hub.context[Recordings]
    await recordings.finish(await begun(recordings, 1, "one", hub.users["operator"], "operator"), "exited")
    viewer, machines = hub.users["viewer"], hub.context.fleet.machines
    await hub.context.announce(Patch(MachineRow, 2, {"created_at": now - timedelta(hours=1)}))
    await until(lambda: "never" in machines[2].troubles)
    hub.context[Tunnels] = cast(Tunnels, Folders())
    await lease(hub)
    steps = mutations(viewer, hub.users["operator"], machines[2].troubles["never"].id)
    done = set()
    method_of = {operation.name: operation.method for operation in OPERATIONS}
    together, seen = Groups(), list[Group]()
    hub.context.announce.listen(together)
    async with listening(hub) as record:
        for who, name, path, body, code in steps:
            client = hub.browser(await hub.add_session("boss")) if who == "boss_session" else hub.of(who)
            record.take()
            seen += together.found
            together.found = []
            async with client:
                answer = await client.request(method_of[name], f"/api{path}", json=body)
            assert answer.status_code < (500 if code else 300), answer.text
            assert unrecorded(together.found) == [], "each Change travels with its line"
            assert incomplete(together.found) == [], "each line has what its sentence needs"
            events = record.take()
            assert [event.code for event in events] == code.split(), (name, events)
            assert all(event.actor != "" for event in events), name
            assert "argon2" not in str(events)
            assert PASSWORD not in str(events)
            done.add(name)
    assert untried([*seen, *together.found]) == set(), "kinds of Changes that no test has seen beside their line"
    changing = {operation.name for operation in OPERATIONS if operation.method != "GET"}
    # Samples and parts of backups are the cargo and no mutation; revoking a token has its own test
    # (tests/…/test_tokens.py), and so have archives (tests/hub/backups).
    archives = {
        "put_backup_part", "complete_backup_upload", "upload_backup", "make_backup_download", "delete_backup",
        "verify_backup", "restore_backup",
    }  # fmt: skip
    # And the second step of a sign-in, which wants right codes (tests/hub/people/two_step).
    second_step = {operation.name for operation in OPERATIONS if operation.action == "account.secure"} | {
        "reset_two_step"
    }
    assert changing - done == {"upload_metrics", "revoke_token", *archives, *second_step} - {"show_two_step"}


async def test_a_refused_mutation_leaves_none(hub: ApiHub) -> None:
    async with listening(hub) as record, hub.of("viewer") as viewer, hub.of("admin") as admin:
        record.take()
        for answer in (
            await viewer.post("/api/v2/rvms", json={"name": "x"}),
            await admin.post("/api/v2/rvms", json={"name": "one"}),
            await admin.post("/api/v2/rvms/1/commands", json={"name": "ping"}),
            await admin.patch("/api/v2/rvms/1", json={"name": ""}),
            await admin.delete("/api/v2/rvms/99"),
        ):
            assert answer.status_code >= 400
        assert record.take() == []


async def test_a_key_event_has_prefixes_only(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        made = (await admin.post("/api/v2/rvms/1/key")).json()["data"]
        events = (await admin.get("/api/v2/events", params={"code": "machine.key_rotated"})).json()["data"]
    assert events[0]["after"] == {"api_key_prefix": made["api_key_prefix"]}
    assert made["api_key"] not in str(events)
