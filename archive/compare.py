"""The state that a chain of manifests describes, and whether a tree is that: every file, and nothing more.

Read from the newest manifest to the oldest; of each path a number of eight bytes is remembered.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from archive import manifest, tar_headers
from archive.errors import DAMAGED, ArchiveError
from archive.lone_links import with_lone_links
from archive.manifest import Deleted, Entry, Header
from archive.packing import PIECE
from archive.tree import FOLDER, Steps, Tree, refusals
from archive.unpack import EVERYTHING, Selection, read_file

Keep = Callable[[Entry, int, str], None]
"""Called for each entry that is as listed, with the open folder above it and its name, to give it owner and mode."""


class Compared(NamedTuple):
    """Of what the tree holds now."""

    files: int
    bytes: int
    folders: int
    links: int


def state(manifests: Sequence[Path], selection: Selection = EVERYTHING) -> Iterator[Entry]:
    """What is there after a chain of backups (oldest first) was replayed, in no order that means anything.

    What vanished or could not be read is as the parent had it; in a full backup it is not there at all.
    """
    seen: set[int] = set()
    gone: set[int] = set()
    for file in reversed(manifests):
        replaced: list[int] = []
        header: Header | None = None
        for line in _lines(file, selection):
            if isinstance(line, Header):
                header = line
            elif header is None or not isinstance(line, (Entry, Deleted)) or not selection.takes(line.path, header):
                continue
            elif isinstance(line, Deleted):
                replaced.append(hash(line.path))
            elif line.mark in (None, "changed"):
                if line.kind != "dir":  # also where a newer folder stands there: what an older one held is gone
                    replaced.append(hash(line.path))
                if hash(line.path) not in seen and not _is_gone(line.path, gone):
                    seen.add(hash(line.path))
                    yield line
        gone.update(replaced)


def _lines(file: Path, selection: Selection) -> Iterator[manifest.Line]:
    """With a hard link whose file is not chosen as a file of its own."""
    header = next(read_file(file), None)
    if not (selection.paths or selection.without) or not isinstance(header, Header):
        return read_file(file)
    return with_lone_links(read_file, file, lambda path: selection.takes(path, header))


def _is_gone(path: str, gone: set[int]) -> bool:
    """Whether a newer backup deleted it, or a folder above it, or has something else in the place of one."""
    if not gone:
        return False
    end = len(path)
    while end > 0:
        if hash(path[:end]) in gone:
            return True
        end = path.rfind("/", 0, end)
    return False


def compare(entries: Iterator[Entry], tree: Tree, root: int, *, tick: Callable[[int], None], keep: Keep) -> Compared:
    """Reads every file of the tree again. Raises ArchiveError for the first that is not what its entry says, and for
    anything that no entry lists."""
    files = size = folders = links = 0
    for entry in entries:
        steps = manifest.check_path(entry.path)
        try:
            _same(entry, steps, tree, tick)
        except OSError as error:
            raise ArchiveError(DAMAGED, f"is listed, and cannot be read: {error.strerror}", path=entry.path) from error
        with refusals(entry.path):
            keep(entry, *tree.place(steps))
        files += entry.kind == "file"
        size += entry.size
        folders += entry.kind == "dir"
        links += entry.kind in ("symlink", "hardlink")
    found = _others_than_folders(root)
    if found != files + links:
        raise ArchiveError(DAMAGED, f"{found} files and links were unpacked where the manifest lists {files + links}")
    return Compared(files, size, folders, links)


def _same(entry: Entry, steps: Steps, tree: Tree, tick: Callable[[int], None]) -> None:
    if entry.kind == "symlink":
        above, name = tree.place(steps)
        if os.readlink(name, dir_fd=above) != entry.link:
            raise ArchiveError(DAMAGED, "leads elsewhere than listed", path=entry.path)
        return
    with tree.opened(steps) as fd:
        found = os.fstat(fd)
        is_kind = stat.S_ISDIR(found.st_mode) if entry.kind == "dir" else stat.S_ISREG(found.st_mode)
        if not is_kind:
            raise ArchiveError(DAMAGED, f"is no {entry.kind}", path=entry.path)
        if entry.kind == "hardlink" and not tree.is_link_of(entry.path, entry.link or ""):
            raise ArchiveError(DAMAGED, "is a hard link of another file than listed", path=entry.path)
        if entry.kind != "hardlink" and not tree.has(entry.path, tar_headers.extended(entry)):
            raise ArchiveError(DAMAGED, "has other extended attributes than listed", path=entry.path)
        if entry.kind != "file":
            return
        if found.st_size != entry.size:
            detail = f"has {found.st_size} bytes, {entry.size} are listed"
            raise ArchiveError(DAMAGED, detail, path=entry.path)
        if _sum(fd, tick) != entry.sha256:
            raise ArchiveError(DAMAGED, "has another content than listed", path=entry.path)


def _sum(fd: int, tick: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    while size := os.readv(fd, [buffer]):
        digest.update(view[:size])
        tick(size)
    return digest.hexdigest()


def _others_than_folders(folder: int) -> int:
    """Files and links below an open folder. It is as deep as MAX_DEPTH."""
    count = 0
    with os.scandir(folder) as found:
        for each in found:
            if not each.is_dir(follow_symlinks=False):
                count += 1
                continue
            below = os.open(each.name, FOLDER, dir_fd=folder)
            try:
                count += _others_than_folders(below)
            finally:
                os.close(below)
    return count
