"""Who listens to commits is called for what it named, and had to name all it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from db.engine.store import Store
from db.records import RECORDS, BootRow, MachineRow
from db.table_row import TableRow
from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody
from hub.model.changes import Change, Drop, EventHappened, Move, Observed, Patch, Put
from hub.model.fleet import Fleet
from tests.support.api_hub import ApiHub
from tests.support.machines import NOW

ALL: frozenset[type[TableRow]] = frozenset({*RECORDS, EventHappened})


class Unread:
    """A value that nobody may look at."""

    def _read(self, *_: object) -> NoReturn:
        raise AssertionError("a listener looks at what it did not name")

    __bool__ = __contains__ = __eq__ = __getattr__ = __hash__ = __int__ = __iter__ = __str__ = _read


def changes_of(kind: type[TableRow]) -> list[Change]:
    nothing: Any = Unread()
    row = kind(**dict.fromkeys((field.name for field in msgspec.structs.fields(kind)), nothing))
    if isinstance(row, EventHappened):
        return [row]
    return [Put(row), Move(row, ()), Patch(kind, nothing, nothing, nothing), Drop(kind, nothing, nothing)]


async def test_no_listener_of_the_hub_looks_at_what_it_did_not_name(hub: ApiHub) -> None:
    listeners = hub.context.announce._listeners
    assert len(listeners) > 10
    for listener, named in listeners:
        assert named
        assert named <= ALL
        for kind in ALL - named:
            listener(changes_of(kind))


async def test_a_listener_gets_whole_commits_of_what_it_named(store: Store) -> None:
    announce = Announcer(Fleet(), Commits(store), SamplesLane(store), Nobody())
    found: list[list[type]] = []

    def listen(changes: Sequence[Change]) -> None:
        found.append([change.about for change in changes])

    announce.listen(listen, MachineRow, EventHappened)
    event = EventHappened(at=NOW, code="user.added", actor="system", params={"email": "a@b.c"})
    announce.observe(Drop(BootRow, 1))
    announce.observe(Observed(1, {}))
    announce.observe(Patch(MachineRow, 1, {}), Drop(BootRow, 1))
    announce.observe(event)
    assert found == [[MachineRow, BootRow], [EventHappened]]
