"""Reads a chain of archives for a restore: unpacks beside what will be replaced and compares every file, or
previews. Blocking; for the child process. Exchanges nothing."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from archive.age import read_identities
from archive.compare import state
from archive.errors import TOO_LARGE, ArchiveError
from archive.manifest import Entry, Header
from archive.owners import Owners
from archive.packing import PIECE
from archive.replay import ChainLink, Replayed, check_follows, header_of, make_durable, numbered, replay, sources_of
from archive.unpack import DiskRoom, Selection, read_file, unpack
from device.backups.control import Assignment, ChildFailedError, Control
from device.backups.download import FetchedArchive, chain_at_hub
from device.backups.mounts import remove_tree
from device.backups.preview import Preview
from device.backups.restore_places import Place, StageResult, StageWanted, StagingGroup
from device.backups.sender import PROGRESS_EVERY_S

RESERVE: Final = 64 * 1024 * 1024
"""Stay free on each disk, a tenth on a small one."""
MAX_MANIFEST: Final = 2**30
UNPACKING: Final = "unpacking"

Fetch = Callable[[int], BinaryIO]
"""A backup's archive, from its first byte."""
PhaseReport = Callable[[str, int], None]


def stage(wanted: StageWanted, fetch: Fetch, report: PhaseReport, listed: Fetch | None = None) -> StageResult:
    """`listed`: a gzipped manifest, or raises ChildFailedError without one. Raises ArchiveError, OSError."""
    identities = read_identities(Path(wanted.identity_file)) if wanted.identity_file else ()
    report("downloading", 0)
    with numbered(0), contextlib.closing(fetch(wanted.backup_id)) as raw:
        header = header_of(raw, identities)
    _numbers(header, wanted)  # another's archive ends it here
    work = Path(wanted.work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    try:
        if wanted.dry_run:
            return _previewed(wanted, header, fetch, report, identities, listed)
        return _staged(wanted, header, fetch, report, identities)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _numbers(header: Header, wanted: StageWanted) -> tuple[int, ...]:
    return chain_at_hub(header, wanted.backup_id, wanted.device_id)


class _Counted(Owners):
    """Counts what it chowns, by class."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__()
        self._classes = {place.name: place.data_class for place in places}
        self.counts: dict[str, dict[str, int]] = {}  # Bound: the four classes

    def keep(self, entry: Entry, above: int, name: str) -> None:
        super().keep(entry, above, name)
        if entry.kind != "dir":
            counted = self.counts.setdefault(self._classes[entry.source], {"count": 0, "bytes": 0})
            counted["count"] += 1
            counted["bytes"] += entry.size


def _staged(
    wanted: StageWanted, header: Header, fetch: Fetch, report: PhaseReport, identities: Sequence[str]
) -> StageResult:  # fmt: skip
    owners = _Counted(wanted.sources)
    done = [_fill(group, wanted, header, fetch, report, identities, owners) for group in wanted.groups]
    foreign = sorted(done[0].sources.keys() - {place.name for place in wanted.sources}) if not wanted.paths else []
    return StageResult(
        backup_id=wanted.backup_id, created_at=header.created_at, chain=_numbers(header, wanted),
        files=sum(each.compared.files for each in done), bytes=sum(each.compared.bytes for each in done),
        foreign=tuple(foreign), unknown_owners=tuple(owners.unknown), classes=owners.counts,
        set_id_removed=tuple(owners.set_id), without_attributes=tuple(owners.without),
    )  # fmt: skip


def _fill(
    group: StagingGroup, wanted: StageWanted, header: Header, fetch: Fetch, report: PhaseReport,
    identities: Sequence[str], owners: Owners,
) -> Replayed:  # fmt: skip
    folder = Path(group.staging)
    remove_tree(group.staging)
    folder.mkdir(mode=0o700)
    (folder / "tree").mkdir(mode=0o700)
    root = os.open(folder / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstatvfs(root)
        reserve = min(RESERVE, found.f_blocks * found.f_frsize // 10)
        room = DiskRoom(max(0, found.f_bavail * found.f_frsize - reserve))
        chain = [ChainLink(partial(fetch, backup_id)) for backup_id in _numbers(header, wanted)]
        selection = Selection(paths=group.all_chosen(wanted.paths), without=group.without)
        done = replay(
            chain, root, Path(wanted.work), identities=identities, room=room,
            selection=selection, owners=owners, phase=report,
        )  # fmt: skip
        make_durable(root)
    finally:
        os.close(root)
    return done


def _previewed(
    wanted: StageWanted, header: Header, fetch: Fetch, report: PhaseReport, identities: Sequence[str],
    listed: Fetch | None,
) -> StageResult:  # fmt: skip
    """From the manifests; an archive without one is read to its end, not unpacked."""
    manifests: list[Path] = []
    headers: list[Header] = []
    size = 0
    for number, backup_id in enumerate(_numbers(header, wanted)):
        file = Path(wanted.work) / f"manifest-{number}.jsonl"
        with numbered(number):
            found = _listed(listed, backup_id, header.chain[number], file)
            if found is None:
                with contextlib.closing(fetch(backup_id)) as raw:
                    one = unpack(raw, None, file, identities=identities, progress=partial(_further, report, size))
                found, size = one.header, size + one.size
            check_follows(headers, found)
        manifests.append(file)
        headers.append(found)
    places = wanted.sources
    inside, names = sources_of(headers), {place.name for place in places}
    preview = Preview(places)
    preview.take(state(manifests, Selection(paths=wanted.paths or tuple(sorted(names)))))
    for place in places:
        if place.name in inside:
            preview.look(place, wanted.paths)
    return StageResult(
        backup_id=wanted.backup_id, created_at=header.created_at, chain=_numbers(header, wanted),
        foreign=tuple(sorted(inside.keys() - names)) if not wanted.paths else (),
        preview=preview.result(),
    )  # fmt: skip


def _listed(listed: Fetch | None, backup_id: int, own_id: int, file: Path) -> Header | None:
    """The manifest, saved; None where there is none. `own_id`: as it numbers itself."""
    if listed is None:
        return None
    with contextlib.suppress(ChildFailedError, EOFError, zlib.error, gzip.BadGzipFile):
        with contextlib.closing(listed(backup_id)) as raw, gzip.GzipFile(fileobj=raw) as opened, file.open("wb") as out:
            while piece := opened.read(PIECE):
                out.write(piece)
                if out.tell() > MAX_MANIFEST:
                    raise ArchiveError(TOO_LARGE, "the manifest is too large")
        line = next(read_file(file))
        if isinstance(line, Header) and line.backup_id == own_id:
            return line
    return None


def _further(report: PhaseReport, before: int, done: int) -> None:
    report(UNPACKING, before + done)


def run(assignment: Assignment, control: Control) -> dict[str, Any]:
    reported_at = float("-inf")
    reported = ""

    def report(phase: str, done: int) -> None:
        nonlocal reported_at, reported
        control.gate.wait()
        now = time.monotonic()
        if phase != reported or now - reported_at >= PROGRESS_EVERY_S:
            reported_at, reported = now, phase
            control.progress(phase, done)

    def fetch(backup_id: int) -> BinaryIO:
        return cast("BinaryIO", FetchedArchive(assignment, control, backup_id))

    def listed(backup_id: int) -> BinaryIO:
        return cast("BinaryIO", FetchedArchive(assignment, control, backup_id, "manifest"))

    try:
        wanted = msgspec.convert(assignment.args, StageWanted)
        made: dict[str, Any] = msgspec.to_builtins(stage(wanted, fetch, report, listed))
    except ArchiveError as wrong:
        raise ChildFailedError(wrong.code, str(wrong)) from wrong
    except OSError as wrong:
        raise ChildFailedError("disk", f"{wrong.filename or ''} {wrong.strerror or wrong}".strip()) from wrong
    return made
