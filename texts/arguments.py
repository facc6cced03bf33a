"""The arguments of a command line in the reader's language: help, refusals, and the nearest name for a mistyped one.
Standard library only."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NoReturn

from texts.catalogue import Texts, read
from texts.languages import from_environment

FOLDER: Final = Path(__file__).parent / "locales"
WRONG_USAGE: Final = 2
ENGLISH_ON_3_10: Final = "argument "
"""How the name of a wrong argument begins where argparse does not ask for a translation of it."""
FEWEST_SAME: Final = 0.6
"""How alike two names are of which one may have been meant, between 0 and 1."""


class LineByLine(argparse.RawDescriptionHelpFormatter):
    """Sentences are wrapped, lines with columns of their own are not."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        return "\n".join(indent + line if "  " in line else textwrap.fill(line, width) for line in lines)


class Parser(argparse.ArgumentParser):
    """Ends a wrong usage with code 2: sentence and fix, as JSON for who asked for JSON. `language`: else the
    environment's. `beside`: verbs that another parser has."""

    def __init__(self, *, language: str | None = None, beside: Sequence[str] = (), **options: Any) -> None:
        self._language = language or from_environment(os.environ)
        self._beside = beside
        self._given: list[str] = []  # Bound: of one command line
        self._verbs: dict[str, Any] = {}  # Bound: those of one parser
        options.setdefault("formatter_class", LineByLine)
        with self._spoken():
            super().__init__(allow_abbrev=False, **options)

    def add_subparsers(self, **options: Any) -> Any:
        options["parser_class"] = partial(type(self), language=self._language)
        with self._spoken():
            added: Any = super().add_subparsers(**options)
        self._verbs = added.choices
        return added

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses what it does not know here, where the flags of this verb are known."""
        self._given = list(sys.argv[1:] if args is None else args)
        with self._spoken():
            found, unknown = super().parse_known_args(self._given, namespace)
        if unknown:
            self.error(self.sentence("argparse.unrecognized") % " ".join(unknown))
        return found, unknown

    def format_help(self) -> str:
        with self._spoken():
            return super().format_help()

    def error(self, message: str) -> NoReturn:
        if message.startswith(ENGLISH_ON_3_10):
            message = self.sentence("argparse.argument").partition("%")[0] + message.removeprefix(ENGLISH_ON_3_10)
        message, fix = message + "".join(self._meant_flags()), f"{self.prog} --help"
        if "--json" in sys.argv:
            self.exit(WRONG_USAGE, json.dumps({"error": self.refusal(message, fix)}) + "\n")
        self.exit(WRONG_USAGE, f"{self.sentence('error')}: {message}\n{self.sentence('fix')}: {fix}\n")

    def refusal(self, message: str, fix: str) -> dict[str, str]:
        return {"code": "usage", "message": message, "hint": fix}

    def sentence(self, key: str, /, **values: object) -> str:
        return read(FOLDER, self._language)(key, **values)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as wrong:
            names = [*map(str, action.choices or ())]
            if action.nargs == argparse.PARSER:
                names += self._beside
                del self._given[self._given.index(value) :]  # flags of a verb that is not known
            if value in names:
                wrong.message = self.sentence("first", name=value)
            else:
                wrong.message += "".join(self._meant(str(value), names))
            raise

    def _meant_flags(self) -> Iterator[str]:
        """Of those before the verb, which has its own."""
        known = self._option_string_actions
        for word in takewhile(lambda word: word != "--" and word not in self._verbs, self._given):
            flag = word.partition("=")[0]
            if flag.startswith("-") and flag not in known:
                yield from self._meant(flag, [name for name in known if name.startswith("--")])

    def _meant(self, given: str, names: Sequence[str]) -> Iterator[str]:
        for name in get_close_matches(given, names, 1, FEWEST_SAME):
            yield " " + self.sentence("meant", name=name, given=given)

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """argparse asks gettext, which reads files of its own and knows no RVM_LANG."""
        theirs, spoken = vars(argparse), by_english(read(FOLDER, self._language))
        before = {name: theirs[name] for name in ("_", "ngettext")}

        def one_or_more(one: str, more: str, count: int) -> str:
            english = one if count == 1 else more
            return spoken.get(english, english)

        theirs.update(_=lambda english: spoken.get(english, english), ngettext=one_or_more)
        try:
            yield
        finally:
            theirs.update(before)


def by_english(texts: Texts) -> dict[str, str]:
    """argparse's own sentences by what they are in it."""
    english = read(FOLDER, "en")
    return {str(english[key]): str(texts[key]) for key in english if key.startswith("argparse.")}
