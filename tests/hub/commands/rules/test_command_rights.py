"""Rights at execution: whoever lost them while a command waited asks for nothing any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest

from hub.commands.rules import still_may
from tests.support.machines import NOW


@dataclass(frozen=True)
class User:
    role: str
    disabled_at: datetime | None = None
    machines: frozenset[int] = frozenset()


@pytest.mark.parametrize(
    ("user", "may"),
    [
        (User("admin"), True), (User("operator"), True), (User("technician", machines=frozenset({7})), True),
        (User("technician", machines=frozenset({8})), False), (User("viewer"), False),
        (User("admin", disabled_at=NOW), False), (None, False), (User("nobody"), False),
    ],
)  # fmt: skip
def test_only_who_still_may_is_obeyed(user: User | None, may: bool) -> None:
    assert still_may(user, 7) is may
