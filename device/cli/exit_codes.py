"""How a verb of the agent's command line ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
"""Also what the hub or the machine's settings refuse."""
BAD_CONFIGURATION: Final = 3
WAITING: Final = 4
"""For a person's approval; the same command again goes on."""
BUSY: Final = 8
CTRL_C: Final = 130

Complain = Callable[[str, int, str], int]
"""Called with a code for programs, the exit code and the sentence; prints it and returns the exit code."""
