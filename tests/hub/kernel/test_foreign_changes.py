"""What another process wrote is taken over; what was read before a commit of our own is not."""

from __future__ import annotations

from datetime import timedelta

from db.queries.machines import Identity
from hub.kernel.loading import EDITED, difference
from tests.support.machines import NOW, machine


def test_a_row_that_was_read_before_the_hubs_own_commit_changes_nothing() -> None:
    known = machine(7)
    members = {name: getattr(known.row, name) for name in EDITED} | {"id": 7, "api_key": "1" * 64}
    edited = difference(known, Identity(**members, updated_at=NOW))
    assert edited is not None
    assert edited.values == {"api_key": "1" * 64, "quarantined_until": None, "updated_at": NOW}
    assert difference(known, Identity(**members, updated_at=NOW - timedelta(seconds=1))) is None
    assert difference(known, Identity(**{**members, "api_key": known.row.api_key}, updated_at=NOW)) is None
