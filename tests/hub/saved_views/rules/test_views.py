"""What is kept of a view, and who may change it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from db.records import SavedViewRow
from hub.model.changes import Drop, EventHappened, Patch, Put
from hub.saved_views import rules

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)


def view(**members: Any) -> SavedViewRow:
    known = {"id": 4, "user_id": 1, "name": "Penuh", "query": {"status": "full"}, "created_at": NOW, "updated_at": NOW}
    return SavedViewRow(**{**known, **members})


def test_a_name_has_one_spelling() -> None:
    assert rules.composed("  Cafe\u0301   lantai 1 ") == "Caf\u00e9 lantai 1"


def test_a_name_is_one_persons_once_and_views_are_few() -> None:
    own = [view(id=number, name=f"V{number}") for number in range(rules.MAX_VIEWS)]
    assert rules.refusal(own[:-1], "New") is None
    assert rules.refusal(own, "New") == "many"
    assert rules.refusal(own[:2], "v1") == "taken"
    assert rules.refusal(own, "V1", own_id=1) is None, "its own name, with whatever letters"
    assert rules.refusal(own, "V2", own_id=1) == "taken"
    assert rules.refusal(own, None, own_id=1) is None


def test_who_may_change_a_view() -> None:
    assert rules.may_change(view(), 1, is_admin=False)
    assert not rules.may_change(view(), 2, is_admin=True), "not shared: nobody else's business"
    assert rules.may_change(view(shared=True), 2, is_admin=True)
    assert not rules.may_change(view(shared=True), 2, is_admin=False)


def test_each_act_has_its_change_and_one_event() -> None:
    put, saved = rules.saved(1, "Penuh", {"status": "full"}, NOW, "user:1", shared=True)
    assert isinstance(put, Put)
    assert (put.row.name, put.row.query, put.row.shared) == ("Penuh", {"status": "full"}, True)
    patch, edited = rules.edited(view(), {"name": "Baru", "shared": False}, NOW, "user:1")
    assert patch == Patch(SavedViewRow, 4, {"name": "Baru", "updated_at": NOW}, must="id")
    assert rules.edited(view(), {"name": "Penuh"}, NOW, "user:1") == []
    drop, removed = rules.removed(view(), NOW, "user:2")
    assert drop == Drop(SavedViewRow, 4, must="id")
    events = [event for event in (saved, edited, removed) if isinstance(event, EventHappened)]
    assert [event.code for event in events] == ["view.saved", "view.edited", "view.removed"]
    assert (events[1].before, events[1].after) == ({"name": "Penuh"}, {"name": "Baru"})
