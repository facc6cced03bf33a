"""What waits for the hub's confirmation."""

from __future__ import annotations

from device.journal.rules import MAX_REPORTS, MAX_RESULTS, Outbox
from protocol.messages import CommandUpdate, StatusReport


def test_entries_wait_in_order_until_they_are_received() -> None:
    outbox = Outbox()
    result, report = CommandUpdate(id="c1", state="succeeded"), StatusReport(status="full", seq=3)
    outbox.put(result)
    outbox.put(report)
    assert outbox.entries() == [result, report]
    assert outbox.received("c1")
    assert not outbox.received("c1")
    assert outbox.received(3)
    assert len(outbox) == 0


def test_a_command_id_that_looks_like_a_number_is_not_a_report() -> None:
    outbox = Outbox()
    outbox.put(CommandUpdate(id="3", state="failed"))
    outbox.put(StatusReport(status="full", seq=3))
    outbox.received(3)
    assert [type(e) for e in outbox.entries()] == [CommandUpdate]


def test_it_is_full_of_results_but_never_of_reports() -> None:
    outbox = Outbox()
    for n in range(MAX_REPORTS + 10):
        outbox.put(StatusReport(status="full", seq=n))
    assert next(e.seq for e in outbox.entries() if isinstance(e, StatusReport)) == 10, "the oldest gave way"
    assert not outbox.full
    for n in range(MAX_RESULTS):
        outbox.put(CommandUpdate(id=f"c{n}", state="succeeded"))
    assert outbox.full


def test_what_is_kept_is_found_by_its_name_until_it_is_received() -> None:
    outbox, report = Outbox(), StatusReport(status="full", seq=3)
    outbox.put(report)
    assert (outbox.get(3), outbox.get("3")) == (report, None)
    outbox.received(3)
    assert outbox.get(3) is None
