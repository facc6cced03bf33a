"""Which texts a script can ask for: those whose keys, or the beginnings of whose keys, stand in it as literals."""

from __future__ import annotations

import re
from collections.abc import Mapping

from texts.catalogue import Forms

LITERAL = re.compile(r"""(["'`])([\w.]+)\1""")
BEGINNING = re.compile(r"`(\w+\.[\w.]*)\$\{")


def words_of(script: str, texts: Mapping[str, Forms]) -> dict[str, Forms]:
    """Of all texts those `script` names: "status.full", or with "status." or `status.${…}` all that begin so."""
    names = {name for _, name in LITERAL.findall(script)}
    groups = tuple({*BEGINNING.findall(script), *(name for name in names if name.endswith("."))})
    return {key: text for key, text in texts.items() if key in names or key.startswith(groups)}
