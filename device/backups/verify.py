"""Fetches a kept backup with its chain, unpacks it to a scratch place, compares each file: in the child process, for
what the hub cannot read."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from archive.age import read_identities
from archive.errors import ArchiveError
from archive.plan import RESERVE, free_bytes
from archive.replay import ChainLink, header_of, replay
from archive.unpack import DiskRoom
from device.backups.control import IDENTITY, Assignment, ChildFailedError, Control
from device.backups.download import FetchedArchive, chain_at_hub
from device.backups.sender import PROGRESS_EVERY_S


def run(assignment: Assignment, control: Control) -> dict[str, Any]:
    """Raises ChildFailedError."""
    scratch = Path(assignment.folder) / str(assignment.backup_id)
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "tree").mkdir(mode=0o700, parents=True)
    root = os.open(scratch / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _verified(assignment, control, scratch, root)
    except ArchiveError as wrong:
        raise ChildFailedError(wrong.code, str(wrong)) from wrong
    except OSError as wrong:
        raise ChildFailedError("disk", f"{wrong.strerror or wrong}") from wrong
    finally:
        os.close(root)
        shutil.rmtree(scratch, ignore_errors=True)


def _verified(assignment: Assignment, control: Control, scratch: Path, root: int) -> dict[str, Any]:
    identity_file = Path(assignment.folder).parent / IDENTITY
    identities = read_identities(identity_file) if identity_file.exists() else ()

    def opened(backup_id: int) -> BinaryIO:
        return cast("BinaryIO", FetchedArchive(assignment, control, backup_id))

    control.progress("downloading")
    newest = opened(assignment.backup_id)
    try:
        header = header_of(newest, identities)
    finally:
        newest.close()
    reported_at = 0.0

    def phase(name: str, done: int) -> None:
        nonlocal reported_at
        control.gate.wait()
        now = time.monotonic()
        if now - reported_at >= PROGRESS_EVERY_S:
            reported_at = now
            control.progress(name, done)

    numbers = chain_at_hub(header, assignment.backup_id, assignment.hub.device_id)
    chain = [ChainLink(partial(opened, backup_id)) for backup_id in numbers]
    done = replay(
        chain, root, scratch, identities=identities, room=DiskRoom(max(0, free_bytes(scratch) - RESERVE)), phase=phase
    )  # fmt: skip
    return {
        "backup_id": assignment.backup_id,
        "chain": list(numbers),
        "files": done.compared.files,
        "bytes": done.compared.bytes,
        "sha256": [each.sha256 for each in done.archives],
    }
