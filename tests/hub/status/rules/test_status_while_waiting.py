"""What a machine's status is while the hub has yet to tell its agent of a declaration that went past it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from db.records import CommandRow
from hub.model.changes import Change
from hub.model.machine import Machine
from hub.status import rules
from hub.status.rules import NamedStatus
from protocol.messages import Hello, StatusReport
from tests.hub.status.rules.test_declarations import LATER, NOW, WHOLE, after, heard, machine


def waiting(found: Machine, issued_by: str = "machine:1", **args: Any) -> Machine:
    """With a `set_status` that waits for it, as args."""
    command = CommandRow(
        id=f"w{len(found.pending)}", rvm_id=1, name="set_status", args=args, state="queued", issued_by=issued_by,
        issued_at=NOW, expires_at=LATER,
    )  # fmt: skip
    found.pending[command.id] = command
    return found


def hello(**members: Any) -> Hello:
    return Hello(
        **{
            "protocol": 2, "device_id": "m", "agent_version": "1", "boot_id": "b", "status": "full", "capacity": 95,
            "capabilities": list(WHOLE), "time": NOW.isoformat(), "config_version": 0,
            **members,
        }
    )  # fmt: skip


def said(found: Machine, word: Hello) -> list[Change]:
    taken = rules.not_stale(found, word, NOW)
    return rules.reported_by_machine(found, taken, NOW, WHOLE)


def test_a_hello_is_no_news_while_a_newer_declaration_waits_for_the_agent() -> None:
    found = waiting(machine(capabilities=WHOLE, capacity=11), status="active", capacity=11)
    assert said(found, hello()) == []
    after(found, heard(found, StatusReport(status="error", seq=4, capacity=95)))
    assert found.row.status == "error", "what it declared itself meanwhile comes in a report, and counts"


def test_a_hello_reports_a_capacity_that_no_waiting_declaration_names() -> None:
    found = waiting(machine(capabilities=WHOLE, capacity=11), status="active")
    after(found, said(found, hello()))
    assert (found.row.status, found.row.capacity) == ("active", 95)


@pytest.mark.parametrize(
    ("issued_by", "args", "word"),
    [
        ("user:3", {"status": "active", "capacity": 11}, {}),
        ("machine:1", {"status": "active"}, {"capacity": 100}),
        ("machine:1", {"status": "active", "until": NOW.isoformat()}, {}),
        ("machine:1", {"status": "active"}, {"capabilities": ["ping"]}),
    ],
    ids=["a person's request", "refused by the agent", "too late", "takes no command"],
)
def test_a_hello_is_the_truth_where_nothing_will_settle_it(issued_by: str, args: Any, word: Any) -> None:
    found = waiting(machine(capabilities=WHOLE, capacity=11), issued_by, **args)
    after(found, said(found, hello(**word)))
    assert found.row.status == "full"


def test_a_reading_after_a_request_that_has_left_does_not_undo_it() -> None:
    found = waiting(machine(capabilities=WHOLE, capacity=11), "user:3", status="maintenance", reason="belt")
    named = rules.declared_by_key(found, NamedStatus(status="active", capacity=33), NOW)
    queued = rules.for_the_agent(found, named)
    assert queued is not None
    assert (queued.wanted.status, queued.reading) == ("active", True)
    found.pending["w0"] = msgspec.structs.replace(found.pending["w0"], state="sent")
    left = rules.for_the_agent(found, named)
    assert left is not None
    assert (left.wanted.status, left.wanted.capacity, left.wanted.reason) == ("maintenance", 33, "belt")
