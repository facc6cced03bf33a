"""Remote sessions and recordings recorded in a hub in this process, and its pages as somebody sees them. No machine."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.model.effective_settings import DesiredSettings, effective_of
from hub.model.recording_changes import RecordingBegan, RecordingEnded
from hub.model.remote_changes import RemoteSession, SessionMoved, SessionOpened
from protocol import configuration
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

HERE = ["10.0.0.1/32"]
REMOTE = "/machines/1/remote"


def settings(hub: ApiHub, **values: Any) -> None:
    scope = DesiredSettings({"admin_ips": HERE, **values}, 1)
    hub.context.fleet.machines[1].effective_settings = effective_of(configuration.defaults(), scope)


async def lease(hub: ApiHub, holder: str = "operator", **members: Any) -> RemoteSession:
    """On the record, as it would be after the machine took it."""
    now = hub.context.clock()
    made = RemoteSession(
        id=0, rvm_id=1, admin_id=hub.users[holder], admin_name=holder, status="active", start_time=now, created_at=now,
        expires_at=now + timedelta(minutes=30), duration_s=1800.0, reason="The camera is dark", ports=(5000, 5001),
        ip_address="10.0.0.1",
    )  # fmt: skip
    stored = await hub.context.announce(SessionOpened(session=msgspec.structs.replace(made, **members)))
    assert isinstance(stored[0], SessionOpened)
    return stored[0].session


async def moved(hub: ApiHub, session: RemoteSession, **members: Any) -> None:
    await hub.context.announce(SessionMoved(session=msgspec.structs.replace(session, **members)))


async def recording(hub: ApiHub, session: RemoteSession, at: datetime, **members: Any) -> int:
    began = RecordingBegan(
        session_id=session.id, rvm_id=1, machine_name="one", user_id=hub.users["operator"], user_name="operator",
        ip_address="10.0.0.1", reason="The camera is dark", at=at, input_recorded=False, cols=80, rows=24,
    )  # fmt: skip
    began = RecordingBegan(**{name: getattr(began, name) for name in began.__struct_fields__} | members)
    stored = (await hub.context.announce(began))[0]
    assert isinstance(stored, RecordingBegan)
    assert stored.id is not None
    ended = RecordingEnded(recording_id=stored.id, at=at, reason="exited", duration_s=95.0, size=2100, sha256="0" * 64)
    await hub.context.announce(ended)
    return stored.id


async def page_of(hub: ApiHub, name: str, language: str = "en", path: str = REMOTE) -> str:
    async with await browser(hub, name, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text
