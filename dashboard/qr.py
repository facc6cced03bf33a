"""A QR code as a drawing: of the labels of machines, and of the secret of an app."""

from __future__ import annotations

from itertools import groupby
from typing import Final

import segno

MAX_BYTES: Final = 412
"""What a code of version 15 holds at level M: more makes modules that a phone does not tell apart on 34 mm of paper."""
QUIET: Final = 4
"""Light modules around a code, as the standard wants them."""


class TextTooLongError(ValueError):
    """More than MAX_BYTES."""


def drawing_of(text: str) -> tuple[int, str]:
    """The side of its QR code in modules, with the quiet zone, and an SVG path of the dark ones. Raises
    TextTooLongError."""
    if (size := len(text.encode())) > MAX_BYTES:
        raise TextTooLongError(f"{size} bytes; at most {MAX_BYTES}")
    code = segno.make_qr(text, error="m", encoding="utf-8", boost_error=False)
    runs = []
    for y, row in enumerate(code.matrix_iter(border=QUIET)):
        x = 0
        for dark, run in groupby(row):
            wide = len(list(run))
            if dark:
                runs.append(f"M{x} {y}h{wide}v1h-{wide}z")
            x += wide
    return len(code.matrix) + 2 * QUIET, "".join(runs)
