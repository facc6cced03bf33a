"""Makes a script smaller without changing what it does: unused declarations and needless spaces are left out.

Works on our own modules as they are written (declarations at the left margin, semicolons everywhere), not on any
JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

DECLARED = re.compile(r"(?:export )?(?:async )?(?:function|class|const|let) ([A-Za-z_$][\w$]*)")
# Where a text, a template or a regular expression begins; a slash begins one only where no value can stand before it.
BEGINS = re.compile(r"""["'`]|(?<=[(,=:!&|?{};])[ ]?/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*""")
# A name that is used: neither a member after a dot nor a key before a colon.
NAMED = re.compile(r"(?<![.\w$])[A-Za-z_$][\w$]*(?![\w$:])")
QUOTES = ("'", '"', "`")
SPACES = re.compile(r" ?(=>|[=,;:{}()\[\]<>?&|!*%]|(?<= )[+-](?= [^+-])) ?")


def without_unused(module: str, wanted: Iterable[str]) -> str:
    """The module without top-level functions, classes and constants that neither `wanted` nor what remains names."""
    chunks = re.split(r"(?<=\n)(?=(?:export |async |function|class|const|let)\b)", module)
    names = [found.group(1) if (found := DECLARED.match(chunk)) else None for chunk in chunks]
    needed = set(wanted)
    pending = {i for i, name in enumerate(names) if name is None or name in needed}
    kept: set[int] = set()
    while pending:
        place = pending.pop()
        kept.add(place)
        words = set(NAMED.findall(chunks[place]))
        pending |= {i for i, name in enumerate(names) if name in words and i not in kept}
    return "".join(chunk for i, chunk in enumerate(chunks) if i in kept)


def without_spaces(script: str) -> str:
    """The script with no space and no line end where none is needed."""
    parts: list[str] = []
    last = 0
    while (begin := BEGINS.search(script, last)) is not None:
        end = _end_of_text(script, begin.start()) if begin.group() in QUOTES else begin.end()
        parts += (SPACES.sub(r"\1", script[last : begin.start()]), script[begin.start() : end].strip())
        last = end
    parts.append(SPACES.sub(r"\1", script[last:]))
    return re.sub(r"(?<=[;{,(])\n|\n(?=[})\]])", "", "".join(parts))


def _end_of_text(script: str, start: int) -> int:
    """Where the text or template that begins at `start` ends. A template may hold values, and those templates again."""
    quote, place = script[start], start + 1
    while script[place] != quote:
        if quote == "`" and script.startswith("${", place):
            place = _end_of_value(script, place + 2)
        else:
            place += 2 if script[place] == "\\" else 1
    return place + 1


def _end_of_value(script: str, place: int) -> int:
    """Behind the brace that closes a template's value."""
    depth = 1
    while depth:
        if script[place] in QUOTES:
            place = _end_of_text(script, place)
            continue
        depth += {"{": 1, "}": -1}.get(script[place], 0)
        place += 1
    return place
