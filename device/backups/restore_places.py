"""Where a restore goes on this machine: its own file decides, never the archive and never the hub.

A tree is exchanged by one rename; where something in it must stay or the folder above is not writable, its members
are."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from archive.manifest import check_path
from device.backups.exchange import MAX_PAIRS, Pair, inode
from device.backups.sources import UntrustedLinkError, followed
from device.backups.staying import MAX_IN_THE_WAY, Staying, is_database, is_folder
from device.backups.walk import COMPANIONS
from device.settings.backup_values import BackupSource
from protocol.kinds import BackupClass

STAGING: Final = ".myrvm-restore"


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

    @property
    def staying(self) -> Staying:
        return Staying(self.real, self.exclude)


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
        if not self.paths:
            return tuple(names)
        return tuple(path for path in self.paths if path.partition("/")[0] in names)


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """`foreign`: sources that this machine does not declare. `set_id_removed`: files that ran as somebody else;
    `without_attributes`: paths whose extended attributes or ACLs this disk refuses; both: the first of them."""

    backup_id: int
    created_at: str
    chain: tuple[int, ...]
    files: int = 0
    bytes: int = 0
    foreign: tuple[str, ...] = ()
    unknown_owners: tuple[str, ...] = ()
    set_id_removed: tuple[str, ...] = ()
    without_attributes: tuple[str, ...] = ()
    classes: dict[str, dict[str, int]] = {}
    preview: dict[str, Any] | None = None


def places_of(sources: Mapping[str, BackupSource], classes: Collection[str], paths: Sequence[str]) -> list[Place]:
    """The wanted ones. Raises NoPlaceError: of no source here, or led elsewhere by somebody's link."""
    wanted = {check_path(path)[0] for path in paths}
    if unknown := sorted(wanted - sources.keys()):
        raise NoPlaceError("no_sources", f"no source of this machine is called {', '.join(unknown)} (backup_sources)")
    return [
        Place(name, _followed(source.path), source.data_class, tuple(source.exclude))
        for name, source in sorted(sources.items())
        if (not classes or source.data_class in classes) and (not wanted or name in wanted)
    ]


def _followed(path: str) -> str:
    try:
        return followed(path)
    except UntrustedLinkError as untrusted:
        raise NoPlaceError("unsafe", str(untrusted)) from untrusted


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
                own = [*kept, *_mounts(target), group.staging]
                made += _pairs(place.data_class, target, staged, own, place.staying)
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


def _pairs(
    data_class: BackupClass, target: str, staged: str, kept: Sequence[str], staying: Staying
) -> Iterator[Pair]:  # fmt: skip
    if any(target == own or target.startswith(own + "/") for own in kept):
        return
    new, there = inode(staged), os.fsencode(target)
    if new is None and inode(target) is not None and staying.stays(there):
        return
    has_own = any(other.startswith(target + "/") for other in kept) or os.path.ismount(target)
    has_own = has_own or (new is None and is_folder(target) and staying.has_some(there))
    if not has_own and (os.access(Path(target).parent, os.W_OK | os.X_OK) or not Path(target).parent.exists()):
        if new is not None or inode(target) is not None:
            yield Pair(data_class=data_class, target=target, staged=staged, new=new)
        return
    if not is_folder(target) or (new is not None and not is_folder(staged)):
        raise NoPlaceError("not_writable", f"{target}: this agent may not write in the folder above it")
    folders = (target, staged) if new is not None else (target,)
    names = {name for folder in folders for name in os.listdir(folder)}  # noqa: PTH208 - as the paths are kept
    for name in sorted(names):
        yield from _pairs(data_class, f"{target}/{name}", f"{staged}/{name}", kept, staying)


def in_the_way(places: Sequence[Place], pairs: Sequence[Pair]) -> list[str]:
    """Folders that a file would replace, and that hold what no backup has. Bound: MAX_IN_THE_WAY."""
    found = (
        os.fsdecode(path)
        for pair in pairs
        if (place := place_of_pair(pair, places)) is not None
        for path in place.staying.in_the_way(os.fsencode(pair.target), os.fsencode(pair.staged))
    )
    return list(islice(found, MAX_IN_THE_WAY))


def carry_over(place: Place, pair: Pair) -> int:
    """What no backup holds stays, also in what comes; how many. Raises OSError."""
    return 0 if pair.new is None else place.staying.carry_over(os.fsencode(pair.target), os.fsencode(pair.staged))


def place_of_pair(pair: Pair, places: Sequence[Place]) -> Place | None:
    return next((p for p in places if pair.target == p.real or pair.target.startswith(p.real + "/")), None)


def _mounts(target: str) -> list[str]:
    """Other file systems mounted below a folder: their content was not backed up here."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    points = [line.split(" ")[4].encode().decode("unicode_escape") for line in text.splitlines()]
    return [point for point in points if point.startswith(target + "/")]
