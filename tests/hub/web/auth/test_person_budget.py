"""What one person may add to the audit log, by whatever way; and what they may do when it is used up."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

import sqlalchemy as sa

from db.schema import events
from hub.model.access import Principal, Via
from hub.model.changes import Change, EventHappened
from hub.web.auth.limits import LINES_AT_ONCE, LINES_PER_S, OWN_AT_ONCE, SIGN_INS_AT_ONCE, PersonBudget
from hub.web.auth.state import AuthState
from tests.support.api_hub import PASSWORD, ApiHub

AT = datetime(2026, 5, 1, tzinfo=timezone.utc)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def person(number: int, via: Via = "session", kind: Literal["user", "machine"] = "user") -> Principal:
    return Principal(kind=kind, id=number, name="", role="admin", machines=None, via=via, credential_id=1)


def lines(count: int, actor: str = "user:1", code: str = "user.edited", text: str = "") -> list[Change]:
    return [EventHappened(at=AT, code=code, actor=actor, params={"user_id": 1, "text": text})] * count


def test_a_burst_is_free_and_then_so_many_a_second() -> None:
    clock = Clock()
    budget = PersonBudget(clock=clock)
    assert budget.wait(person(1), "status.write") == 0
    budget.on_commit(lines(int(LINES_AT_ONCE)))
    assert budget.wait(person(1), "status.write") == 1 / LINES_PER_S
    assert budget.wait(person(2), "status.write") == 0, "somebody else has their own"
    assert budget.wait(person(1, via="key", kind="machine"), "status.write") == 0, "a machine of the same number too"
    clock.now = 1 / LINES_PER_S
    assert budget.wait(person(1), "status.write") == 0
    budget.on_commit(lines(10))
    clock.now += 9 / LINES_PER_S
    assert budget.wait(person(1), "status.write") > 0, "what was written beyond it is a debt"


def test_long_lines_count_as_several_and_other_peoples_doings_not_at_all() -> None:
    clock = Clock()
    budget = PersonBudget(lines_at_once=100, clock=clock)
    for code in ("sign_in.failed", "sign_in.locked"):
        budget.on_commit(lines(1000, code=code))
    for actor in ("machine:1", "clock", "system"):
        budget.on_commit(lines(1000, actor=actor))
    assert budget.wait(person(1), "status.write") == 0
    budget.on_commit(lines(1, text="x" * 1024 * 101))
    assert budget.wait(person(1), "status.write") > 0


def test_the_own_account_has_a_reserve_that_no_token_spends() -> None:
    clock = Clock()
    budget = PersonBudget(clock=clock)
    budget.on_commit(lines(10 * int(LINES_AT_ONCE)))
    for _ in range(100):
        assert budget.wait(person(1, via="token"), "token.manage_own") > 0
    for _ in range(int(OWN_AT_ONCE)):
        assert budget.wait(person(1), "token.manage_own") == 0
    assert budget.wait(person(1, via="login"), "account.edit") > 0


async def flood(hub: ApiHub, name: str) -> int:
    """Requests of a program until it is told to wait."""
    async with hub.program(name) as program:
        for number in range(200):
            answer = await program.patch("/api/v2/rvms/1", json={"location_description": f"Floor {number}"})
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert "too much" in answer.json()["detail"]
                return number
            assert answer.status_code == 200, answer.text
    raise AssertionError("never told to wait")


async def stored_lines(hub: ApiHub, user: str) -> int:
    counted = sa.select(sa.func.count().label("n")).where(events.c.actor == f"user:{hub.users[user]}")
    row = await hub.context.store.fetch_one(counted)
    return 0 if row is None else int(row["n"])


async def test_a_program_in_a_loop_is_asked_to_wait_and_its_owner_can_still_stop_it(any_hub: ApiHub) -> None:
    people = any_hub.context[AuthState].budgets = PersonBudget(lines_per_s=0.001, lines_at_once=20)
    any_hub.context.announce.listen(people.on_commit)
    assert await flood(any_hub, "admin") == 20
    assert await stored_lines(any_hub, "admin") == 20
    session = await any_hub.add_session("admin")
    async with any_hub.browser(session) as browser, any_hub.program("admin") as program:
        assert (await program.get("/api/v2/rvms")).status_code == 200, "looking goes on"
        refused = await browser.post("/machines/1/status", data={"status": "full"})
        assert (refused.status_code, int(refused.headers["retry-after"]) >= 1) == (429, True)
        (token,) = (await browser.get("/api/v2/tokens")).json()["data"]
        assert (await program.delete(f"/api/v2/tokens/{token['id']}")).status_code == 429
        assert (await browser.delete(f"/api/v2/tokens/{token['id']}")).status_code == 204
        assert (await program.get("/api/v2/rvms")).status_code == 401
        assert (await browser.post("/api/v2/auth/logout")).status_code == 200
    async with any_hub.of("operator") as other:
        assert (await other.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 200


async def test_a_command_to_many_machines_costs_as_many_lines(any_hub: ApiHub) -> None:
    people = any_hub.context[AuthState].budgets = PersonBudget(lines_per_s=0.001, lines_at_once=3)
    any_hub.context.announce.listen(people.on_commit)
    body = {"name": "set_status", "args": {"status": "inactive"}, "rvms": [1, 2]}
    async with any_hub.of("operator") as operator:
        assert [(await operator.post("/api/v2/commands", json=body)).status_code for _ in range(3)] == [202, 202, 429]


async def test_signing_in_again_and_again_is_bounded_for_whoever_may(any_hub: ApiHub) -> None:
    await any_hub.add_user("budi", "viewer", password=PASSWORD)
    proof = {"email": "budi@example.com", "password": PASSWORD}
    codes: list[int] = []
    async with any_hub.client() as client:
        while 429 not in codes and len(codes) < 4 * SIGN_INS_AT_ONCE:  # some come back while they are spent
            codes.append((await client.post("/api/v2/auth/login", json=proof)).status_code)
    assert codes.count(200) >= SIGN_INS_AT_ONCE
    assert codes[-1] == 429
