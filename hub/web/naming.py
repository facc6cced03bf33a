"""Who did it, as a page says it: an actor becomes a name the reader may know."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.reader import Reader


def who(reader: Reader, actor: str, names: Mapping[str, str]) -> str:
    """`user:3` as a name, `machine:7` as "the machine"."""
    kind, _, number = actor.partition(":")
    if kind == "user":
        return names.get(number) or reader.t("who.user", id=number)
    return reader.said("who", kind)
