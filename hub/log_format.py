"""Formats log lines: text for people, JSON for collectors; one event is one line and can forge no other. A line that
a machine causes begins with `machine %d`."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Final

from hub.model.budgets import TokenBuckets

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


MOST_OF_A_TEXT: Final = 200
"""Characters, in a line that a machine causes."""
MOST_OF_OURS: Final = 1000
MACHINE_LINES: Final = 30
MACHINE_LINES_PER_MINUTE: Final = 6
MOST_REMEMBERED: Final = 10_000
_OF_A_MACHINE: Final = "machine %d"


def configure(form: str, level: int = logging.INFO) -> None:
    """To stderr as `text` or `json`: ours from `level`, libraries' from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines(with_time="JOURNAL_STREAM" not in os.environ))
    handler.addFilter(LineLimits())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("myrvm").setLevel(level)


def escape(text: str, pattern: re.Pattern[str] = _CONTROL) -> str:
    """Control and direction characters as `\\x1b`, `\\u202e`."""
    return pattern.sub(lambda found: repr(found.group())[1:-1], text)


class LineLimits(logging.Filter):
    """Cuts texts, and drops lines of one machine beyond its rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lines = TokenBuckets[int](MACHINE_LINES_PER_MINUTE / 60, MACHINE_LINES, MOST_REMEMBERED)
        self._left_out: Counter[int] = Counter()  # Bound: the machines of the hub

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args
        if not isinstance(args, tuple) or not args:
            return True
        rvm_id = args[0]
        if not isinstance(rvm_id, int) or not str(record.msg).startswith(_OF_A_MACHINE):
            record.args = tuple(_short(arg, MOST_OF_OURS) for arg in args)
            return True
        record.args = args = tuple(_short(arg, MOST_OF_A_TEXT) for arg in args)
        if self._lines.take(rvm_id, self._clock()):
            self._left_out[rvm_id] += 1
            return False
        if count := self._left_out.pop(rvm_id, 0):
            record.msg, record.args = f"{record.msg} (%d more lines of this machine were left out)", (*args, count)
        return True


def _short(arg: object, most: int) -> object:
    if isinstance(arg, (int, float, type(None))):
        return arg
    text = escape(str(arg))
    return text if len(text) <= most else text[: most - 1] + "…"


class TextLines(logging.Formatter):
    """`2026-11-23T13:05:09Z WARNING myrvm.links: ...`; a traceback follows on its own lines."""

    def __init__(self, *, with_time: bool) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname} {record.name}: {escape(record.getMessage())}"
        if self._with_time:
            line = f"{_utc(record):%Y-%m-%dT%H:%M:%SZ} {line}"
        if record.exc_info:
            line += "\n" + escape(self.formatException(record.exc_info), _CONTROL_BUT_NEWLINE)
        return line


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _utc(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _utc(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, timezone.utc)
