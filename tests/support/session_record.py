"""Remote sessions and recordings recorded in a hub in this process, and its pages as somebody sees them. No machine."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from db.records import SESSION_PARTS, RecordingRow, RemoteSessionRow
from hub.model.changes import Put, move, put_rows
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.remote.recordings import rules
from protocol import configuration
from tests.support.api_hub import ApiHub
from tests.support.database_rows import recording_row
from tests.support.page_visitor import browser

HERE = ["10.0.0.1/32"]
REMOTE = "/machines/1/remote"


def settings(hub: ApiHub, **values: Any) -> None:
    scope = DesiredSettings({"admin_ips": HERE, **values}, 1)
    hub.context.fleet.machines[1].effective_settings = effective_of(configuration.defaults(), scope)


async def lease(hub: ApiHub, holder: str = "operator", **members: Any) -> RemoteSessionRow:
    """On the record, as it would be after the machine took it."""
    now = hub.context.clock()
    made = RemoteSessionRow(
        id=0, rvm_id=1, admin_id=hub.users[holder], admin_name=holder, status="active", start_time=now, created_at=now,
        expires_at=now + timedelta(minutes=30), duration_s=1800.0, reason="The camera is dark", ports=(5000, 5001),
        allow=SESSION_PARTS, ip_address="10.0.0.1",
    )  # fmt: skip
    (stored,) = put_rows(await hub.context.announce(Put(msgspec.structs.replace(made, **members))), RemoteSessionRow)
    return stored


async def moved(hub: ApiHub, session: RemoteSessionRow, **members: Any) -> None:
    await hub.context.announce(move(session, **members))


async def recording(hub: ApiHub, session: RemoteSessionRow, at: datetime, **members: Any) -> int:
    values: dict[str, Any] = {
        "session_id": session.id, "machine_name": "one", "user_id": hub.users["operator"], "user_name": "operator",
        "started_at": at, "reason": "The camera is dark",
    }  # fmt: skip
    made = recording_row(**{**values, **members})
    (stored,) = put_rows(await hub.context.announce(Put(made)), RecordingRow)
    ended = rules.ended(stored.id, at, "exited", duration_s=95.0, size=2100, sha256="0" * 64)
    await hub.context.announce(ended)
    return stored.id


async def page_of(hub: ApiHub, name: str, language: str = "en", path: str = REMOTE) -> str:
    async with await browser(hub, name, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text
