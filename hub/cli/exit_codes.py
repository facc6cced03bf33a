"""How a command ends: the exit codes of the command line and the error that carries one. Standard library only."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What the shell sees; the same for every verb (the table is in --help)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    UNREACHABLE = 6
    CONFLICT = 8
    INTERRUPTED = 130


class CliError(Exception):
    """Ends a command. `code` is stable English for programs; `message` and `hint` are for people, in their language."""

    def __init__(self, exit_code: Exit, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.message = message
        self.hint = hint
