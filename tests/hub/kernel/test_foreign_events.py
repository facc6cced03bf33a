"""What the command line does beside a running hub reaches its open pages."""

from __future__ import annotations

from collections.abc import Sequence

from db.engine.row_writes import insert
from db.engine.store import Store
from db.records import EventRow
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.loading import ForeignEvents
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody
from hub.model.changes import Change, EventHappened
from hub.model.fleet import Fleet
from tests.support.machines import NOW


def line(actor: str, code: str = "user.added") -> EventRow:
    return EventRow(at=NOW, code=code, actor=actor, params={"email": "a@b.c"})


async def test_lines_of_the_command_line_are_published_once_and_own_ones_not_again(store: Store) -> None:
    now = 0.0
    heard: list[str] = []
    announce = Announcer(Fleet(), Commits(store), SamplesLane(store), Nobody())
    foreign = ForeignEvents(store, announce, lambda: now)
    announce.listen(foreign.on_commit)

    def listen(changes: Sequence[Change]) -> None:
        heard.extend(c.code for c in changes if isinstance(c, EventHappened))

    await store.write(insert(line("system", "user.removed")))
    await foreign.look()
    await announce(EventHappened(at=NOW, code="remote.ended", actor="system", params={"session_id": 1, "reason": "x"}))
    announce.listen(listen)
    await store.write(insert(line("system")), insert(line("user:1", "user.edited")))
    await foreign.look()
    assert heard == [], "not so soon again"
    for _ in range(2):
        now += 1.0
        await foreign.look()
    assert heard == ["user.added"]
