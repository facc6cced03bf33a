"""Runs something in a child that kills itself before a given call into the file system."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def killed_at(step: int, calls: tuple[str, ...], act: Callable[[], object]) -> bool:
    """Before the `step`-th of `calls`, names of functions of `os`. True: no kill, `act` ended by itself and without an
    error or a code."""
    child = os.fork()
    if child == 0:
        _arm(step, calls)
        code: object = 99
        try:
            code = act()
        finally:
            os._exit(1 if code else 0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def _arm(step: int, calls: tuple[str, ...]) -> None:
    left = [step]

    def armed(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in calls:
        setattr(os, name, armed(getattr(os, name)))
