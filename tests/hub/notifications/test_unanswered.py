"""A database that stores what it does not answer in time: the message is sent all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import Unavailable
from hub.kernel.announce import Announcer
from hub.model.changes import Change, Patch
from hub.notifications import service
from tests.hub.notifications.test_notifications import add, declare
from tests.support.api_hub import api_hub
from tests.support.message_sink import http_sink
from tests.support.until import until


async def test_what_was_begun_although_the_database_did_not_answer_in_time_is_sent(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored, and told as unknown: asked again it has changed already."""
    for name in ("EVERY_S", "SOON_S"):
        monkeypatch.setattr(service, name, 0.05)
    announce, lost = Announcer.__call__, list[Change]()

    async def loses_the_answer(self: Announcer, *given: Change) -> list[Change]:
        done = await announce(self, *given)
        begun = [one for one in given if isinstance(one, Patch) and one.values.get("state") == "sending"]
        if begun and not lost:
            lost.extend(begun)
            raise Unavailable("the database took too long", outcome_unknown=True)
        return done

    monkeypatch.setattr(Announcer, "__call__", loses_the_answer)
    with http_sink() as sink:
        async with api_hub(tmp_path, database_url=database_url, notify_loopback=True) as hub:
            await hub.add_everybody()
            await add(hub, sink.address("json"))
            await declare(hub, "error")
            await until(lambda: sink.received, within=20.0)
    assert lost
