"""Writes in the reader's language: results on stdout, all else on stderr; how a command ends. Control characters of
the database never reach the terminal."""

from __future__ import annotations

import enum
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, TextIO

from texts.catalogue import read
from texts.languages import from_environment


class Exit(enum.IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    UNREACHABLE = 6
    TIMED_OUT = 7
    CONFLICT = 8
    INTERRUPTED = 130


class CliError(Exception):
    """Ends a command. `code` is stable English; `message` and `hint` are in the reader's language."""

    def __init__(self, exit_code: Exit, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.hint = hint


FOLDER: Final = Path(__file__).parent / "locales"


def language() -> str:
    return from_environment(os.environ)


def sentence(key: str, /, **values: object) -> str:
    return read(FOLDER, language())(key, **values)


def sentence_or(key: str, english: str, /, **values: object) -> str:
    texts = read(FOLDER, language())
    return texts(key, **values) if key in texts else english.format(**values)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(value: object) -> str:
    """Without control characters and changes of direction."""
    return "" if value is None else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def result(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a file on a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        shown = sentence("hub_backup.unusable", path="stdout", why=error.strerror)
        raise CliError(Exit.FAILED, "stdout_unusable", shown, sentence("hub_backup.unusable.fix")) from error


def result_json(value: object) -> None:
    """On one line; control characters are escaped, and what the terminal's encoding may not have."""
    has_all = sys.stdout.encoding.lower().startswith("utf")
    result(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=not has_all)))


def answer(as_json: bool, shown: Mapping[str, object], text: str) -> None:
    if as_json:
        result_json(shown)
    else:
        result(text)


def listing(as_json: bool, name: str, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    if as_json:
        result_json({name: rows})
    else:
        table(rows, columns)


class Loudness:
    """How much a command writes on stderr beside its end: `quiet` no hints and no progress, `verbose` the causes of a
    failure as well."""

    quiet = False
    verbose = False


def speak(*, quiet: bool, verbose: bool) -> None:
    Loudness.quiet, Loudness.verbose = quiet, verbose


def hint(text: str) -> None:
    """What may be left out."""
    if not Loudness.quiet:
        note(text)


def note(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def failure(error: CliError, as_json: bool) -> None:
    causes = list(_causes(error)) if Loudness.verbose else []
    if as_json:
        shown = {"code": error.code, "message": error.message, "hint": error.hint}
        note(json.dumps({"error": shown | ({"causes": causes} if causes else {})}))
        return
    note(f"{paint(sentence('error'), '31', sys.stderr)}: {error.message}")
    if error.hint:
        note(f"{sentence('fix')}: {error.hint}")
    for cause in causes:
        note(f"{sentence('cause')}: {cause}")


def _causes(error: BaseException) -> Iterator[str]:
    """What lies below, the nearest first."""
    below = error.__cause__
    if below is not None:
        yield clean(f"{type(below).__name__}: {below}")
        yield from _causes(below)


class ProgressLine:
    """How far long work is, on stderr: on a terminal one line that is written over, else a line for each phase and
    each tenth of it. Nothing where `shown` is False."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and not Loudness.quiet
        self._terminal = self._shown and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._at: tuple[str, int | None] | None = None

    def show(self, phase: str, percent: int | None, text: str) -> None:
        line = clean(text if percent is None else f"{percent:>3} %  {text}")
        at = (phase, None if percent is None else percent // 10)
        if self._terminal:
            wide = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{line[:wide]}")
            sys.stderr.flush()
        elif self._shown and at != self._at:
            note(line)
        self._at = at

    def end(self) -> None:
        if self._terminal and self._at is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [[column.upper() for column in columns], *cells]:
        result("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return clean(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value)


def paint(text: str, code: str, stream: TextIO) -> str:
    """On a terminal only, never with NO_COLOR."""
    plain = not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
