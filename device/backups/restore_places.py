"""Where a restore goes on this machine: its own file decides, never the archive and never the hub.

A tree is exchanged by one rename; where something in it must stay or the folder above is not writable, its members
are."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from archive.manifest import check_path
from archive.source_file import SQLITE, SourceFile
from device.backups.exchange import MAX_PAIRS, Pair, inode
from device.backups.walk import COMPANIONS
from device.settings.backup_values import BackupSource
from protocol.kinds import BackupClass

STAGING: Final = ".myrvm-restore"
MOST_LINKS: Final = 40
IsKept = Callable[[bytes, bytes], bool]
"""Whether backups leave out a path below a source, and its name; `device.backups.sources.excluder`."""


class NoPlaceError(Exception):
    """A code for programs and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Place(NamedTuple):
    """An archive's source, and where it stands here. `real`: `root`, links resolved."""

    name: str
    real: str
    data_class: BackupClass
    exclude: tuple[str, ...]


class StagingGroup(NamedTuple):
    """Places of one file system, staged together."""

    staging: str
    places: tuple[Place, ...]


class PlaceWanted(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    real: str
    data_class: BackupClass
    exclude: tuple[str, ...] = ()


class StageWanted(msgspec.Struct, frozen=True, kw_only=True):
    """`groups`: a staging folder, and the names of its file system's places. `work`: for the manifests."""

    backup_id: int
    places: tuple[PlaceWanted, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    work: str
    paths: tuple[str, ...] = ()
    identity_file: str | None = None
    dry_run: bool = False

    @classmethod
    def of(
        cls, backup_id: int, groups: Sequence[StagingGroup], work: Path, *, paths: Sequence[str],
        identity_file: Path | None, dry_run: bool,
    ) -> StageWanted:  # fmt: skip
        places = tuple(
            PlaceWanted(name=p.name, real=p.real, data_class=p.data_class, exclude=p.exclude)
            for group in groups
            for p in group.places
        )
        named = tuple((group.staging, tuple(place.name for place in group.places)) for group in groups)
        return cls(
            backup_id=backup_id, places=places, groups=named, work=str(work), paths=tuple(paths),
            identity_file=None if identity_file is None else str(identity_file), dry_run=dry_run,
        )  # fmt: skip

    @property
    def names(self) -> list[str]:
        return [place.name for place in self.places]

    def chosen(self, names: Sequence[str]) -> tuple[str, ...]:
        """Paths of an archive for these places."""
        if not self.paths:
            return tuple(names)
        return tuple(path for path in self.paths if path.partition("/")[0] in names)


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """`foreign`: sources that this machine does not declare."""

    backup_id: int
    created_at: str
    chain: tuple[int, ...]
    files: int = 0
    bytes: int = 0
    foreign: tuple[str, ...] = ()
    unknown_owners: tuple[str, ...] = ()
    classes: dict[str, dict[str, int]] = {}
    preview: dict[str, Any] | None = None


def places_of(sources: Mapping[str, BackupSource], classes: Collection[str], paths: Sequence[str]) -> list[Place]:
    """The wanted ones. Raises NoPlaceError: of no source here, or led elsewhere by somebody's link."""
    wanted = {check_path(path)[0] for path in paths}
    if unknown := sorted(wanted - sources.keys()):
        raise NoPlaceError("no_sources", f"no source of this machine is called {', '.join(unknown)} (backup_sources)")
    return [
        Place(name, followed(source.path), source.data_class, tuple(source.exclude))
        for name, source in sorted(sources.items())
        if (not classes or source.data_class in classes) and (not wanted or name in wanted)
    ]


def followed(path: str) -> str:
    """With links resolved. Raises NoPlaceError for a link that neither root, nor this agent, nor its target's owner
    made: whoever may write above a source would choose what a root agent replaces."""
    done, left, links = "/", [*reversed(Path(path).absolute().parts[1:])], 0
    while left:
        step = left.pop()
        there = str(Path(done).parent) if step == ".." else f"{done.rstrip('/')}/{step}"
        if step in ("", ".") or not Path(there).is_symlink():
            done = done if step in ("", ".") else there
            continue
        links += 1
        if links > MOST_LINKS or not _is_trusted(there):
            raise NoPlaceError("unsafe", f"{there}: a link of somebody else leads to where {path} is")
        to = os.readlink(there)  # noqa: PTH115 - as it stands there
        done = "/" if to.startswith("/") else done
        left += reversed(to.split("/"))
    return done


def _is_trusted(link: str) -> bool:
    owner = os.lstat(link).st_uid
    try:
        return owner in (0, os.geteuid()) or owner == os.stat(link).st_uid  # noqa: PTH116 - as lstat above
    except OSError:  # it leads to nothing yet
        return False


def grouped(places: Sequence[Place]) -> list[StagingGroup]:
    """Raises NoPlaceError where nothing can be written."""
    found: dict[int, list[Place]] = {}
    for place in places:
        found.setdefault(os.lstat(_above(place)).st_dev, []).append(place)
    return [StagingGroup(str(Path(_above(some[0])) / STAGING), tuple(some)) for some in found.values()]


def _above(place: Place) -> str:
    """The folder that can hold a staging folder on the source's file system: above it, or itself."""
    real = Path(place.real)
    above = real.parent
    while not above.is_dir() and above != above.parent:
        above = above.parent
    if os.path.ismount(real) or (real.is_dir() and not os.access(above, os.W_OK | os.X_OK)):
        above = real
    if not os.access(above, os.W_OK | os.X_OK):
        raise NoPlaceError(
            "not_writable", f"{above}: this agent may not write there, so {place.real} cannot be restored"
        )
    return str(above)


def pairs_of(group: StagingGroup, paths: Sequence[str], kept: Sequence[str]) -> list[Pair]:
    """Renames to do. `kept` stay as they are. Raises NoPlaceError, OSError."""
    made: list[Pair] = []
    for place in group.places:
        for path in [path for path in paths if check_path(path)[0] == place.name] or [place.name]:
            below = path[len(place.name) :]
            staged, target = f"{group.staging}/tree/{path}", place.real + below
            if inode(staged) is not None:
                _check_way(path, target)
                made += _pairs(place.data_class, target, staged, [*kept, *_mounts(target), group.staging])
                made += _companions(place.data_class, target, staged)
    if len(made) > MAX_PAIRS:
        raise NoPlaceError("too_many", f"more than {MAX_PAIRS} renames: name fewer paths")
    return made


def _check_way(path: str, target: str) -> None:
    """A folder above may have become a link since. Raises NoPlaceError."""
    above = str(Path(target).parent)
    if os.path.realpath(above) != above:
        raise NoPlaceError("unsafe", f"{path}: a folder above it is a link now; name that folder")


def _companions(data_class: BackupClass, target: str, staged: str) -> Iterator[Pair]:
    """What SQLite keeps beside a database goes with it: it would damage the restored one, or bring back what it was
    restored from."""
    if is_database(staged):
        for ending in map(os.fsdecode, COMPANIONS):
            if inode(target + ending) is not None and inode(staged + ending) is None:
                yield Pair(data_class=data_class, target=target + ending, staged=staged + ending)


def _pairs(data_class: BackupClass, target: str, staged: str, kept: Sequence[str]) -> Iterator[Pair]:
    if any(target == own or target.startswith(own + "/") for own in kept):
        return
    new = inode(staged)
    is_whole = not any(other.startswith(target + "/") for other in kept) and not os.path.ismount(target)
    if is_whole and (os.access(Path(target).parent, os.W_OK | os.X_OK) or not Path(target).parent.exists()):
        if new is not None or inode(target) is not None:
            yield Pair(data_class=data_class, target=target, staged=staged, new=new)
        return
    if not is_folder(staged) or not is_folder(target):
        raise NoPlaceError("not_writable", f"{target}: this agent may not write in the folder above it")
    names = {name for folder in (target, staged) for name in os.listdir(folder)}  # noqa: PTH208 - likewise
    for name in sorted(names):
        yield from _pairs(data_class, f"{target}/{name}", f"{staged}/{name}", kept)


def _mounts(target: str) -> list[str]:
    """Other file systems mounted below a folder: their content was not backed up here."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    points = [line.split(" ")[4].encode().decode("unicode_escape") for line in text.splitlines()]
    return [point for point in points if point.startswith(target + "/")]


def carry_over(place: Place, pair: Pair, is_kept: IsKept | None) -> int:
    """Hard links of what is left out, and of sockets and FIFOs, into the staged tree. The old tree stays whole.
    Returns how many. Raises OSError."""
    if pair.new is None or not is_folder(pair.staged) or not is_folder(pair.target):
        return 0
    return _carry(os.fsencode(pair.target), os.fsencode(pair.staged), len(os.fsencode(place.real)) + 1, is_kept)


def is_database(path: str | bytes) -> bool:
    """A regular file that SQLite made, no link followed."""
    try:
        with contextlib.closing(SourceFile(os.fsdecode(path))) as file:
            return file.begins_with(SQLITE)
    except OSError:
        return False


def is_folder(path: str | bytes) -> bool:
    """No link followed."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _carry(old: bytes, new: bytes, base: int, is_kept: IsKept | None) -> int:
    count = 0
    before = os.lstat(new)
    with os.scandir(old) as found:
        entries = list(found)
    for entry in entries:
        there = new + b"/" + entry.name
        kind = entry.stat(follow_symlinks=False).st_mode
        if any(entry.name.endswith(ending) and is_database(there[: -len(ending)]) for ending in COMPANIONS):
            continue
        is_special = not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind))
        if is_special or (is_kept is not None and is_kept(entry.path[base:], entry.name)):
            count += _link(entry.path, there)
        elif stat.S_ISDIR(kind) and is_folder(there):
            count += _carry(entry.path, there, base, is_kept)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    return count


def _link(old: bytes, new: bytes) -> int:
    """Folders are made anew with the old ones' rights."""
    found = os.lstat(old)
    if not stat.S_ISDIR(found.st_mode):
        if os.path.lexists(new):
            return 0
        os.link(old, new, follow_symlinks=False)
        return 1
    if not is_folder(new):
        os.mkdir(new, 0o700)  # noqa: PTH102 - as the paths are kept
    count = sum(_link(old + b"/" + name, new + b"/" + name) for name in os.listdir(old))  # noqa: PTH208 - likewise
    if os.geteuid() == 0:
        os.chown(new, found.st_uid, found.st_gid)
    os.chmod(new, stat.S_IMODE(found.st_mode))  # noqa: PTH101 - likewise
    os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
    return count
