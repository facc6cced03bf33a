"""What the door remembers: one try at a time, and what a change makes it forget."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone

from db.records import MachineRow, TokenRow, UserMachineRow, UserRow, UserTagRow
from hub.model import changes as c
from hub.model.access import Principal
from hub.model.changes import Drop
from hub.people import rules
from hub.web.auth.state import MAX_USES, AuthState

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


def known(state: AuthState) -> bool:
    return state.credentials.find("h", NOW) is not None


def remember(state: AuthState) -> None:
    user = Principal(kind="user", id=1, name="", role="viewer", machines=None, via="token", credential_id=9)
    state.credentials.keep("h", user, None, state.credentials.generation)


def test_revoking_and_editing_are_noticed_at_once() -> None:
    for change in (
        c.Patch(TokenRow, 9, {"revoked_at": NOW}),
        rules.revoke_tokens(1, NOW),
        rules.end_sessions(1),
        rules.end_sessions(1, "h"),
        c.Patch(UserRow, 1, {"updated_at": NOW}),
        c.Drop(UserMachineRow, where=(("user_id", "=", 1),)),
        c.Drop(UserRow, 1),
        c.Drop(UserTagRow, where=(("user_id", "=", 1),)),
        c.Patch(MachineRow, 3, {"tags": ("mall",)}),
        Drop(MachineRow, 3),
    ):
        state = AuthState()
        remember(state)
        assert known(state)
        state.on_commit([change])
        assert not known(state), change


def test_what_concerns_somebody_else_is_not() -> None:
    state = AuthState()
    remember(state)
    state.on_commit([c.Patch(UserRow, 2, {"name": "B"}), rules.end_sessions(2), c.Drop(UserRow, 2)])
    assert known(state)


async def test_tries_for_one_account_queue_up_and_for_others_do_not() -> None:
    state, inside, most = AuthState(), 0, 0

    async def attempt(email: str) -> None:
        nonlocal inside, most
        async with state.one_try_at_a_time(email):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(attempt("a@b") for _ in range(20)))
    assert most == 1
    await asyncio.gather(attempt("a@b"), attempt("c@d"))
    assert most == 2
    assert not state._trying


def test_uses_waiting_to_be_written_are_bounded() -> None:
    state = AuthState()
    for n in range(MAX_USES + 5):
        state.note_use(str(n), rules.use_token(n, NOW, None))
    assert len(state.uses) == MAX_USES
