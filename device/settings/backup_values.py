"""Checks what the machine's file declares of backups: sources by name, and the operator's public key.

Looks at no disk: `device/backups/` decides which files a source has."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec

from protocol.kinds import BackupClass
from protocol.limits import MAX_FILE_PATH

MAX_SOURCES: Final = 32
SourceName = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*\Z")]
"""Begins each path in the archive."""
_Path = Annotated[str, msgspec.Meta(max_length=MAX_FILE_PATH, pattern=r"^/[^\x00-\x1f\x7f]*\Z")]
_Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FILE_PATH, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class BackupSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A folder or file at `path`; `exclude`: patterns below it."""

    path: _Path
    data_class: BackupClass = msgspec.field(name="class", default="data")
    exclude: Annotated[list[_Glob], msgspec.Meta(max_length=64)] = []


class _Sources(msgspec.Struct):
    sources: Annotated[dict[SourceName, BackupSource], msgspec.Meta(max_length=MAX_SOURCES)]


def backup_sources(value: object) -> dict[str, BackupSource]:
    """By name; empty: the machine looks for them. Raises ValueError."""
    found = msgspec.convert({"sources": value}, _Sources).sources
    for source in found.values():
        if ".." in source.path.split("/") or source.path.rstrip("/") == "":
            raise ValueError("a source is a folder or file of its own, named by its path without ..")
    return found


def nested(sources: dict[str, BackupSource]) -> tuple[str, str] | None:
    """A source and one that holds it, or is the same: a restore would exchange it twice."""
    places = sorted((source.path.rstrip("/") + "/", name) for name, source in sources.items())
    for (outer, outer_name), (inner, inner_name) in pairwise(places):
        if inner.startswith(outer):
            return inner_name, outer_name
    return None


def backup_value(kind: str, value: object) -> Any:
    """Of kind `backup_sources` or `age_key` ("": none). Raises ValueError."""
    if kind == "backup_sources":
        return msgspec.to_builtins(backup_sources(value))
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - what a setting's check raises
    key = value.strip()
    if key:
        _check_recipient(key)
    return key


def _check_recipient(key: str) -> None:
    """Raises ValueError for a key that nobody could decrypt with: every backup would be worthless."""
    import pyrage  # few machines encrypt: the others do without it

    try:
        pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as wrong:
        raise ValueError("not an age public key") from wrong
