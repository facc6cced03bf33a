"""The one small text that names who did it."""

from __future__ import annotations

import pytest

from hub.model import actors


@pytest.mark.parametrize(
    ("actor", "person"),
    [(actors.user(12), 12), (actors.machine(12), None), (actors.CLOCK, None), (actors.SYSTEM, None), ("user:", None),
     ("user:-1", None), ("user:1x", None)],
)  # fmt: skip
def test_a_person_is_found_again_in_the_name_and_nobody_else_is(actor: str, person: int | None) -> None:
    assert actors.user_of(actor) == person


@pytest.mark.parametrize(
    ("actor", "asks"), [("user:1", True), ("system", True), ("clock", False), ("machine:7", False)]
)
def test_a_machine_and_the_clock_only_pass_on_what_holds(actor: str, asks: bool) -> None:
    assert actors.asks(actor) is asks
