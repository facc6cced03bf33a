"""Which selects were compiled: each is to be compiled once, whatever its values."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the SQL of each that is compiled from now on."""
    found: list[str] = []
    compile_ = sa.Select.compile

    def counted(self: sa.Select[Any], *args: Any, **options: Any) -> Any:
        compiled = compile_(self, *args, **options)
        found.append(str(compiled))
        return compiled

    monkeypatch.setattr(sa.Select, "compile", counted)
    return found
