"""A chain of archives, replayed into an empty folder and compared with their manifests: a restore, or a drill."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from archive import manifest, packing
from archive.attributes import inherit_nothing
from archive.compare import Compared, compare, state
from archive.errors import DAMAGED, WRONG_CHAIN, ArchiveError
from archive.manifest import ArchiveSource, Entry, Header
from archive.owners import MAX_SEALED, Owners
from archive.tar import TarReader
from archive.tree import Tree
from archive.unpack import ANY_ROOM, EVERYTHING, DiskRoom, Selection, Unpacked, unpack

UNPACKING: Final = "unpacking"
COMPARING: Final = "comparing"

Phase = Callable[[str, int], None]
"""Called with the phase and the bytes done in it (of archive files; of files compared); may raise to end it."""


class ChainLink(NamedTuple):
    """An archive to read: `open` gives its bytes from the first on, and is called once."""

    open: Callable[[], BinaryIO]
    size: int | None = None


class Replayed(NamedTuple):
    """`manifests` are files in the work folder, oldest first; `sources` are those of the whole chain by name."""

    archives: tuple[Unpacked, ...]
    manifests: tuple[Path, ...]
    compared: Compared

    @property
    def newest(self) -> Header:
        return self.archives[-1].header

    @property
    def sources(self) -> dict[str, ArchiveSource]:
        return sources_of([each.header for each in self.archives])


def nobody(_phase: str, _done: int) -> None:
    """Wants no progress."""


def replay(
    archives: Sequence[ChainLink],
    root: int,
    work: Path,
    *,
    identities: Sequence[str] = (),
    selection: Selection = EVERYTHING,
    room: DiskRoom = ANY_ROOM,
    owners: Owners | None = None,
    phase: Phase = nobody,
) -> Replayed:
    """Fills the empty open folder `root` with `SOURCE/...` of the state after the newest archive.

    `work`: a folder beside it, for the manifests. `owners`: give each entry its owner, mode and time. Raises
    ArchiveError, whose `archive` says which of them is wrong, if one is.
    """
    done: list[Unpacked] = []
    manifests: list[Path] = []
    if owners is not None:
        inherit_nothing(root)
    with contextlib.closing(Tree(root)) as tree:
        for number, archive in enumerate(archives):
            before = sum(each.size for each in done)
            file = work / f"manifest-{number}.jsonl"
            with numbered(number), contextlib.closing(archive.open()) as raw:
                one = unpack(
                    raw, tree, file, identities=identities, selection=selection, room=room,
                    progress=partial(_unpacked, phase, before),
                )  # fmt: skip
                check_follows([each.header for each in done], one.header)
            done.append(one)
            manifests.append(file)
        compared = _compare(manifests, selection, tree, root, owners, phase)
    return Replayed(tuple(done), tuple(manifests), compared)


def _unpacked(phase: Phase, before: int, size: int) -> None:
    phase(UNPACKING, before + size)


def header_of(raw: BinaryIO, identities: Sequence[str] = ()) -> Header:
    """What an archive says first of itself; reads no more of it than that. Raises ArchiveError."""
    with contextlib.closing(packing.unpacked(packing.CountedFile(raw), identities)) as pieces:
        reader = TarReader(pieces)
        for member in reader:
            if member.path != manifest.BEGIN or member.kind != "file":
                break
            for line in manifest.lines(bytes(piece) for _, piece in reader.pieces()):
                header = manifest.decode(line)
                if isinstance(header, Header):
                    return header
                break
            break
    raise ArchiveError(DAMAGED, "the archive does not begin with the plan of a backup")


def check_follows(before: Sequence[Header], header: Header) -> None:
    """Whether an archive goes on where those before it end. Raises ArchiveError."""
    number = len(before)
    if number >= len(header.chain) or header.chain[number] != header.backup_id:
        wanted = header.chain[number] if number < len(header.chain) else None
        detail = f"backup {header.backup_id} needs its chain {list(header.chain)}, oldest first"
        raise ArchiveError(WRONG_CHAIN, f"{detail}; {wanted} is missing" if wanted is not None else detail)
    if before and (before[-1].chain != header.chain[:-1] or before[-1].rvm_id != header.rvm_id):
        detail = f"backup {header.backup_id} does not follow backup {before[-1].backup_id}"
        raise ArchiveError(WRONG_CHAIN, detail)


def sources_of(headers: Sequence[Header]) -> dict[str, ArchiveSource]:
    """Sources of a chain: a newer header's word on one counts."""
    return {name: source for header in headers for name, source in header.sources.items()}


@contextlib.contextmanager
def numbered(number: int) -> Iterator[None]:
    """Says of which archive of a chain an error is."""
    try:
        yield
    except ArchiveError as error:
        error.archive = number
        raise


def _compare(
    manifests: Sequence[Path], selection: Selection, tree: Tree, root: int, owners: Owners | None, phase: Phase
) -> Compared:
    compared = 0

    def tick(size: int) -> None:
        nonlocal compared
        compared += size
        phase(COMPARING, compared)

    keep = owners.keep if owners is not None else _leave
    found = compare(state(manifests, selection), tree, root, tick=tick, keep=keep)
    if owners is not None:
        _seal(manifests, selection, tree, owners)
    return found


def _leave(_entry: Entry, _above: int, _name: str) -> None:
    """A drill gives no owners."""


def _seal(manifests: Sequence[Path], selection: Selection, tree: Tree, owners: Owners) -> None:
    """Folders get mode and time when nothing is made in them any more; those that could not be entered then, last."""
    closed: list[Entry] = []
    for entry in state(manifests, selection):
        if entry.kind == "dir":
            if entry.mode & 0o500 == 0o500 or len(closed) >= MAX_SEALED:
                _seal_one(entry, tree, owners)
            else:
                closed.append(entry)
    for entry in sorted(closed, key=lambda entry: entry.path.count("/"), reverse=True):
        _seal_one(entry, tree, owners)


def _seal_one(entry: Entry, tree: Tree, owners: Owners) -> None:
    with tree.opened(manifest.check_path(entry.path)) as fd:
        owners.seal(entry, fd)


def make_durable(root: int) -> None:
    """Everything unpacked is on the disk before anything is exchanged for it."""
    os.fsync(root)
    os.sync()
