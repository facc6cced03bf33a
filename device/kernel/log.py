"""Writes one line a notable event to stderr; never the machine's key or a raw control character."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final, TextIO

from texts.catalogue import Texts, Value

MAX_LINE: Final = 2000
MAX_RECENT: Final = 200


class Log:
    """`log(code, **values)` writes that code's sentence."""

    def __init__(self, texts: Texts, secret: str, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
        self._texts = texts
        self._secrets = {secret} - {""}  # Bound: the machine's keys of this life, one more a renewal
        self._stream = stream or sys.stderr
        self._stamped = "JOURNAL_STREAM" not in environ
        self.recent: deque[str] = deque(maxlen=MAX_RECENT)
        """Each with its time, for the control page."""

    def __call__(self, code: str, /, **values: Value) -> None:
        line = clean(self._texts(code, **values))
        for secret in self._secrets:
            line = line.replace(secret, "[api_token]")
        stamp = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} "
        self.recent.append(f"{stamp}{line}")
        try:
            print(f"{stamp}{line}" if self._stamped else line, file=self._stream, flush=True)
        except (OSError, ValueError):  # nobody reads our errors any more; the machine goes on
            return

    def hide(self, secret: str) -> None:
        """From now on, too."""
        self._secrets.add(secret)

    def why(self, code: str, /, **values: Value) -> str:
        return self._texts(code, **values)


def clean(text: str) -> str:
    """One line, bounded, without control characters."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:MAX_LINE])
