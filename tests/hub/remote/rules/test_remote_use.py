"""Whether a session may be used now."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from db.records import SESSION_PARTS, RemoteSessionRow
from hub.remote.rules.life import held, opens_port

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
SESSION = RemoteSessionRow(
    id=7, rvm_id=1, admin_id=3, admin_name="A", status="active", start_time=NOW, duration_s=60.0, created_at=NOW,
    expires_at=NOW + timedelta(seconds=60), ports=(5000,), allow=SESSION_PARTS,
)  # fmt: skip


def changed(**members: Any) -> RemoteSessionRow:
    return msgspec.structs.replace(SESSION, **members)


def test_the_newest_own_session_is_held_or_the_one_named() -> None:
    sessions = {7: SESSION, 8: changed(id=8), 9: changed(id=9, admin_id=4), 10: changed(id=10, status="ended")}
    assert held(sessions, 3, None, NOW) == sessions[8]
    assert held(sessions, 3, 7, NOW) == SESSION
    assert held(sessions, 3, 9, NOW) is None
    assert held(sessions, 3, 10, NOW) is None
    assert held(sessions, 3, None, NOW + timedelta(seconds=60)) is None


@pytest.mark.parametrize(
    "session",
    [
        None, changed(admin_id=4), changed(admin_id=None), changed(status="starting"), changed(status="ended"),
        changed(allow=("terminal",)), changed(ports=(5001,)), changed(expires_at=NOW),
    ],
)  # fmt: skip
def test_a_port_opens_only_for_the_holder_while_the_session_stands(session: RemoteSessionRow | None) -> None:
    assert opens_port(SESSION, 3, 5000, NOW)
    assert not opens_port(session, 3, 5000, NOW)
