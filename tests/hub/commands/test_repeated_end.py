"""A command's end whose answer was lost is written again, and stands once in the audit log."""

from __future__ import annotations

from msgspec.structs import replace

from db.engine.store import Store
from db.queries import events
from hub.commands import rules
from hub.kernel.commits import commit_alone
from hub.model.changes import Put
from hub.model.machine import Machine
from protocol.messages import CommandUpdate
from tests.hub.commands.rules.test_drafts import command
from tests.support.machines import NOW, machine


async def test_an_end_that_is_written_again_leaves_one_line(store: Store) -> None:
    added, *_ = await commit_alone(store, [Put(replace(machine(7).row, id=0))])
    assert isinstance(added, Put)
    one, sent = Machine(added.row), command("sent", rvm_id=added.row.id)
    await commit_alone(store, [Put(sent)])
    one.pending[sent.id] = sent
    end = rules.moved(one, CommandUpdate(id=sent.id, state="failed"), NOW)
    for _ in range(2):
        await commit_alone(store, end)
    assert [row.code for row in await events.list_events(store, limit=9)] == ["command.finished"]
