"""The settings of a machine or of the fleet as rows of a form: value, bounds, where it comes from, who changed it last.

Reads memory and the audit log; `dashboard.settings` knows how a field is read, the `rules` what may be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from dashboard import formats, refusals
from dashboard.reader import Reader
from dashboard.settings import Row, seen_of, text_of
from db import events
from db.connection import Store
from hub.model import views
from hub.model.effective_settings import OTHER, Values
from protocol import configuration as table

CODE: Final = "config.changed"
LOOK_BACK: Final = 300
"""Writes of the fleet's settings, and of one machine's, that are searched for who changed what."""

Rows = dict[str, list[Row]]
Changed = Mapping[str, tuple[str, int, Any]]
"""By key: who, when (epoch ms), and the value before."""


def kind_of(key: str, value: Any) -> str:
    setting = table.SETTINGS.get(key)
    return table.kind_of(value) if setting is None else setting.kind


def rows_of(
    reader: Reader,
    values: Values,
    own: Values,
    behind: Values,
    behind_from: Callable[[str], str],
    changed: Changed,
    refused: Mapping[str, str],
) -> Rows:
    """By block, in the table's order, free keys by name. `behind` is what holds without what is `own`; a field shows
    what somebody wrote, also where the machine does not take it."""
    found: Rows = {block: [] for block in (*table.BLOCKS, OTHER)}
    free = sorted(key for key in values if table.is_free(key))
    for key in (*table.SETTINGS, *free):
        setting = table.SETTINGS.get(key)
        kind, is_own = kind_of(key, values[key]), key in own
        text = text_of(own.get(key, values[key]), kind)
        bounded = setting is not None and kind in ("whole", "number")
        row = Row(
            key=key,
            kind=kind,
            text=text,
            own=is_own,
            seen=seen_of(is_own, text),
            unit=setting.unit if setting else "",
            bounds=(setting.least, setting.most) if setting and bounded else None,
            inherited=shown(reader, key, behind[key]) if key in behind else None,
            inherited_from=behind_from(key),
            refused=refusals.why(reader, refused[key]) if key in refused else "",
        )
        if key in changed:
            who, at, before = changed[key]
            row.changed = (who, at, "" if before is None else shown(reader, key, before))
        found[OTHER if setting is None else setting.block].append(row)
    return found


def shown(reader: Reader, key: str, value: Any) -> str:
    """A value as one reads it."""
    if isinstance(value, bool):
        return reader.t("settings.on" if value else "settings.off")
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value) or reader.t("settings.none")
    if isinstance(value, (int, float)):
        setting = table.SETTINGS.get(key)
        return amount(reader, value, setting.unit if setting else "")
    return str(value) or reader.t("settings.none")


def amount(reader: Reader, value: float, unit: str = "") -> str:
    """A number with its unit; seconds in the units people count in."""
    if unit == "s" and value >= 1 and value == int(value):
        return reader.span(value)
    text = formats.measured(value, reader.language, grouped=bool(unit))
    return f"{text}{formats.THIN}{reader.said('unit', unit)}" if unit else text


async def changed_last(store: Store, rvm_id: int | None) -> Changed:
    """Who changed each key last, as far as it concerns this machine (None: the fleet)."""
    # The fleet's own apart from the machines', however many those are, and by the index on (machine, time).
    writes = await events.list_events(store, limit=LOOK_BACK, codes=[CODE], of_fleet=True)
    if rvm_id is not None:
        writes += await events.list_events(store, limit=LOOK_BACK, codes=[CODE], rvm_ids=[rvm_id])
    return newest_of(sorted(writes, key=lambda event: (event.at, event.id), reverse=True))


def newest_of(writes: Iterable[events.EventRow]) -> Changed:
    """`writes` newest first."""
    found: dict[str, tuple[str, int, Any]] = {}
    for event in writes:
        for key in event.after or {}:
            found.setdefault(key, (event.actor, views.epoch_ms(event.at), (event.before or {}).get(key)))
    return found
