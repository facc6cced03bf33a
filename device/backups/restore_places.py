"""Where a restore goes on this machine: its own file decides, never the archive and never the hub.

A tree is exchanged by one rename; where something in it must stay or the folder above is not writable, its members
are. What is mounted below a source is a place of its own: nothing is renamed from one mount to another."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from archive.manifest import check_path
from device.backups.exchange import MAX_PAIRS, Pair, inode
from device.backups.mounts import is_mounted, mount_of, mounted_below
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


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Of an archive's source `name`, which stands at `root` (links resolved): all of it, or what is mounted `below`."""

    name: str
    root: str
    data_class: BackupClass
    exclude: tuple[str, ...] = ()
    below: str = ""

    @property
    def path(self) -> str:
        """As the archive has it."""
        return self.name + self.below

    @property
    def real(self) -> str:
        return self.root + self.below

    @property
    def staying(self) -> Staying:
        return Staying(self.root, self.exclude)

    def chosen(self, paths: Sequence[str]) -> list[str]:
        """What of it `paths` name, which may be above or below it; none of them: all."""
        if not paths or any(_holds(path, self.path) for path in paths):
            return [self.path]
        return [path for path in paths if _holds(self.path, path)]


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer + "/")


class StagingGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Places on one mount, staged together. `without`: of these, what is a place on another."""

    staging: str
    places: tuple[Place, ...]
    without: tuple[str, ...] = ()

    def chosen(self, place: Place, paths: Sequence[str]) -> list[str]:
        return [path for path in place.chosen(paths) if not any(_holds(other, path) for other in self.without)]

    def all_chosen(self, paths: Sequence[str]) -> tuple[str, ...]:
        return tuple(path for place in self.places for path in self.chosen(place, paths))


class StageWanted(msgspec.Struct, frozen=True, kw_only=True):
    """`work`: a folder for the manifests; `device_id`: of this machine."""

    backup_id: int
    device_id: str
    groups: tuple[StagingGroup, ...]
    work: str
    paths: tuple[str, ...] = ()
    identity_file: str | None = None
    dry_run: bool = False

    @property
    def sources(self) -> list[Place]:
        """Each source once, and all of it."""
        found = {place.name: place for group in self.groups for place in group.places}
        return [msgspec.structs.replace(place, below="") for _, place in sorted(found.items())]


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
        Place(name=name, root=_followed(source.path), data_class=source.data_class, exclude=tuple(source.exclude))
        for name, source in sorted(sources.items())
        if (not classes or source.data_class in classes) and (not wanted or name in wanted)
    ]


def _followed(path: str) -> str:
    try:
        return followed(path)
    except UntrustedLinkError as untrusted:
        raise NoPlaceError("unsafe", str(untrusted)) from untrusted


def grouped(places: Sequence[Place], paths: Sequence[str] = (), kept: Sequence[str] = ()) -> list[StagingGroup]:
    """With a place for each mount below them. Raises NoPlaceError where nothing can be written."""
    all_places = [each for place in places for each in (place, *_mounted_in(place, kept))]
    found: dict[str, list[Place]] = {}  # Bound: the places
    for place in all_places:
        inside = [other.path for other in all_places if other is not place and _holds(place.path, other.path)]
        if any(not any(_holds(one, path) for one in inside) for path in place.chosen(paths)):
            above = _above(place)
            found.setdefault(mount_of(above), []).append(place)
    return [_group(some, all_places) for some in found.values()]


def _group(places: list[Place], all_places: Sequence[Place]) -> StagingGroup:
    others = [other.path for other in all_places if other not in places]
    without = tuple(other for other in others if any(_holds(place.path, other) for place in places))
    return StagingGroup(staging=str(Path(_above(places[0])) / STAGING), places=tuple(places), without=without)


def _mounted_in(place: Place, kept: Sequence[str]) -> Iterator[Place]:
    """What a backup of the source holds too, and this agent may write."""
    for point in mounted_below(place.real):
        is_ours = os.path.isdir(point) and os.access(point, os.W_OK | os.X_OK)  # noqa: PTH112 - a disk that is away raises
        if is_ours and not any(_holds(own, point) for own in kept) and not place.staying.stays(os.fsencode(point)):
            yield msgspec.structs.replace(place, below=point[len(place.root) :])


def _above(place: Place) -> str:
    """The folder that can hold a staging folder on the source's mount: above it, or itself."""
    real = Path(place.real)
    above = real.parent
    while not above.is_dir() and above != above.parent:
        above = above.parent
    if is_mounted(place.real) or (real.is_dir() and not os.access(above, os.W_OK | os.X_OK)):
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
        for path in group.chosen(place, paths):
            staged, target = f"{group.staging}/tree/{path}", place.root + path[len(place.name) :]
            if inode(staged) is None or (place.below and path == place.path and _is_empty(staged)):
                continue
            _check_way(path, target)
            mounted = mounted_below(target)
            _check_mounts(mounted, target, staged, kept)
            own = [*kept, *mounted, group.staging]  # in what is mounted itself the last one is: its name stays
            made += _pairs(place.data_class, target, staged, own, place.staying)
            made += _companions(place.data_class, target, staged)
    if len(made) > MAX_PAIRS:
        raise NoPlaceError("too_many", f"more than {MAX_PAIRS} renames: name fewer paths")
    return made


def _is_empty(staged: str) -> bool:
    """A folder without anything: what was mounted there is not in this backup, and what is mounted there now stays."""
    return is_folder(staged) and not os.listdir(staged)  # noqa: PTH208 - as the paths are kept


def _check_mounts(mounted: Sequence[str], target: str, staged: str, kept: Sequence[str]) -> None:
    """What the backup has of a mount that is no place (it is read-only). Raises NoPlaceError."""
    for point in mounted:
        there = staged + point[len(target) :]
        if inode(there) is not None and not _is_empty(there) and not any(_holds(own, point) for own in kept):
            raise NoPlaceError(
                "not_writable", f"{point}: mounted there, and this agent may not write on it: name other paths"
            )


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
    has_own = any(other.startswith(target + "/") for other in kept)
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
    """The innermost: a link of the machine may lead one source into another."""
    holding = [place for place in places if _holds(place.real, pair.target)]
    return max(holding, key=lambda place: len(place.real), default=None)
