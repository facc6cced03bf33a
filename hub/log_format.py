"""How log lines look: text for people, JSON for collectors; one event is one record and can forge no other.

Whatever a machine or a browser sent may stand in a message, so control characters never reach the terminal or the file
as themselves. Knows nothing of what is logged.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import datetime, timezone
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(form: str) -> None:
    """Send everything to standard error in `form` (`text` or `json`): ours from INFO, libraries' from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines(with_time="JOURNAL_STREAM" not in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("myrvm").setLevel(logging.INFO)


def escape(text: str, pattern: re.Pattern[str] = _CONTROL) -> str:
    """Control and direction characters as `\\x1b`, `\\n`, `\\u202e`."""
    return pattern.sub(lambda found: repr(found.group())[1:-1], text)


class TextLines(logging.Formatter):
    """`2026-11-23T13:05:09Z WARNING myrvm.links: ...`; a traceback follows on lines of its own."""

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
    """One JSON object a line, with every control character escaped by JSON itself."""

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
