"""Names that files really have, with letters that no test for "printable" lets through."""

from __future__ import annotations

from typing import Final

NAMES: Final = [
    "Screenshot 2026-11-29 at 9.05.12\u202fPM.png",  # as macOS writes the time
    "laporan\u00a0akhir.pdf",
    "全角\u3000空白.txt",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 keluarga.jpg",
    "می\u200cخواهم.txt",
    "soft\u00adhyphen and \ufeffmark",
    "right\u202eto left",
    "%2e%2e;\"quoted\" 'single' \\back & <b> #hash?x=1",
    " leading and trailing ",
]
UNFIT: Final = [b"two\nlines.txt", b"latin1-\xe9.txt", b"esc\x1b[2J", b"next\xc2\x85line"]
"""Bytes of names that no path on the wire can hold."""
