"""HTML that cannot be forgotten to be escaped: whatever is filled in is text, unless it came out of here itself."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Safe(str):
    """Finished HTML."""

    __slots__ = ()


def text(value: object) -> Safe:
    """Any value as text of a page or of an attribute, without characters that would turn or hide what stands there."""
    if isinstance(value, Safe):
        return value
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return Safe(html.escape(shown, quote=True))


def fill(template: str, **values: object) -> Safe:
    """`template`, which is a constant of ours, with these values in their places."""
    return Safe(template.format(**{name: text(value) for name, value in values.items()}))


def joined(parts: Iterable[Safe]) -> Safe:
    return Safe("".join(parts))
