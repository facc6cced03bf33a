"""Folders that another user than ours can reach, as pytest's own ones cannot be, and who that user is."""

from __future__ import annotations

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.remote.service_user import ServiceUser, choose

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users: run it as root to see this")


def visitor() -> ServiceUser:
    """An unprivileged user of this computer who is not the one that an agent would choose by itself."""
    names = {one.pw_name for one in pwd.getpwall()}
    return choose(next(name for name in ("games", "daemon", "nobody") if name in names), os.geteuid())


@contextlib.contextmanager
def reachable_folder(owner: int = -1) -> Iterator[Path]:
    """Everybody may enter it; it belongs to `owner`, else to us."""
    with tempfile.TemporaryDirectory(prefix="rvm-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        os.chown(folder, owner, -1)
        yield folder
