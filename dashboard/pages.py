"""Turns a template's name and values into escaped HTML."""

from __future__ import annotations

import contextlib
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from dashboard import backups, bulk, fleet, remote_sessions, sparkline
from dashboard.event_reading import reason_words
from dashboard.happenings import LIMITS
from dashboard.reader import Reader
from dashboard.trouble import cause_name, edge_of, freshness, is_connected, mark_of, who_acts

ADDRESSES = (
    "href", "src", "action", "formaction", "data-part", "data-src", "data-plain", "data-badge", "data-hands",
    "data-lease", "data-menu", "data-palette", "data-session", "data-spoken", "data-xterm", "data-xterm-css",
    "data-fit", "data-feed",
)  # fmt: skip
"""Attributes that hold one of the hub's."""
_ADDRESS = re.compile(rf""" (?:{"|".join(ADDRESSES)})="(?=/(?!/))""")
_PART = re.compile(r"""( data-part="/[^"?]*)(\?[^"]*)?(?=")""")
FOLDER = Path(__file__).parent / "templates"
_OURS = Path(__file__).read_text()


class CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates beside Python's own compiled files, and like them: written where that may be. To compile all
    takes 1 s."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), f"%s.{sys.implementation.cache_tag}.jinja")

    def get_source_checksum(self, source: str) -> str:
        """Also of this file, which says how they are compiled."""
        return super().get_source_checksum(_OURS + source)

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with contextlib.suppress(OSError):
                super().dump_bytecode(bucket)


@cache
def environment() -> Environment:
    """Autoescape for every template, not by file name."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=CompiledTemplates(Path(__file__).parent / "__pycache__"),
    )
    made.globals.update(
        STATUSES=fleet.STATUSES,
        COLUMNS=fleet.COLUMNS,
        REVERSED=fleet.REVERSED_AT_FIRST,
        FULL_FROM=LIMITS[0],
        METRICS=fleet.METRICS,
        spark_path=sparkline.path,
        freshness=freshness,
        shape=fleet.shape,
        is_connected=is_connected,
        lease_left=remote_sessions.left,
        backup_brief=backups.brief,
        reason_words=reason_words,
        cause_name=cause_name,
        who_acts=who_acts,
        mark_of=mark_of,
        edge_of=edge_of,
        BULK_ACTIONS=tuple(bulk.BULK_ACTIONS),
        BULK_HOURS=bulk.HOURS,
    )
    return made


_lock = threading.Lock()


def load() -> None:
    """Thread-safe: after a start the first pages are asked for together, and one compiles for all."""
    with _lock:
        _compile()


@cache
def _compile() -> None:
    for name in environment().list_templates():
        environment().get_template(name)


def ready() -> bool:
    return _compile.cache_info().currsize > 0


def pieces(template: str, reader: Reader, **values: Any) -> Iterator[str]:
    """Piece by piece. A missing value is an error, never a blank."""
    return environment().get_template(template).generate(r=reader, t=reader.t, **values)


def finished(html: str, reader: Reader, base_path: str) -> str:
    """What is drawn again stays in the page's language and zone, whatever its reader chose elsewhere since; and it is
    for them only (Reader.of_page)."""
    mark = f"reader={quote(reader.mark)}"
    return below(_PART.sub(lambda at: f"{at[1]}{at[2]}&amp;{mark}" if at[2] else f"{at[1]}?{mark}", html), base_path)


def below(html: str, base_path: str) -> str:
    """Templates and their values know the hub's own addresses; browsers reach them below the path. A quote in a
    value is escaped, so an attribute is where it looks like one."""
    return _ADDRESS.sub(lambda found: found[0] + base_path, html) if base_path else html
