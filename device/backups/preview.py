"""What a restore would do to this machine, from manifests and the disk: changes and fetches nothing."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from archive.manifest import Entry
from device.backups.mounts import mounted_below
from device.backups.restore_places import Place
from device.backups.sources import excluder
from device.backups.staying import MAX_IN_THE_WAY, Staying, is_folder

MAX_EXAMPLES: Final = 60
KINDS: Final = ("replaced", "added", "deleted", "same")


class Preview:
    """Files and links by class; `same` when size and time are. Folders are not counted."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = {place.name: place for place in places}
        # Bound: the four classes
        self._counts: dict[str, dict[str, list[int]]] = {
            place.data_class: {kind: [0, 0] for kind in KINDS} for place in places
        }
        self._examples: dict[str, list[str]] = {kind: [] for kind in KINDS[:3]}  # Bound: MAX_EXAMPLES
        self._staying = {place.name: place.staying for place in places}
        self._in_the_way: list[str] = []  # Bound: MAX_IN_THE_WAY
        self._empty_mounts = {
            place.name + point[len(place.real) :]: point for place in places for point in mounted_below(place.real)
        }
        """Of which the backup has shown nothing yet: what is there stays."""
        self._known: set[int] = set()  # Bound: MAX_ENTRIES of the manifests, a number each
        self._times: list[int] = []  # Bound: oldest and newest
        self._now_newest: int | None = None

    def take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            place = self._places.get(entry.source)
            if place is None:
                continue
            self._known.add(hash(entry.path))
            if self._empty_mounts:
                self._look_for_mounts(entry.path)
            if entry.kind != "dir":
                self._times = [min([*self._times[:1], entry.mtime_ns]), max([*self._times[1:], entry.mtime_ns])]
                real = place.real + entry.path[len(place.name) :]
                self._count(place, self._kind(entry, real), entry.path, entry.size)
                self._look_in_the_way(self._staying[place.name], entry.path, real)

    def look(self, place: Place, paths: Sequence[str] = ()) -> None:
        """At what would be gone. `paths`: only of these."""
        for path, found in _walk(place, excluder(place.exclude), set(self._empty_mounts.values())):
            if paths and not any(path == wanted or path.startswith(wanted + "/") for wanted in paths):
                continue
            if self._now_newest is None or found.st_mtime_ns > self._now_newest:
                self._now_newest = found.st_mtime_ns
            if hash(path) not in self._known:
                self._count(place, "deleted", path, found.st_size)

    def result(self) -> dict[str, Any]:
        """Counts and bytes by class, examples, and the time they span. With `in_the_way` the restore would be
        refused."""
        examples = {**self._examples, "in_the_way": self._in_the_way} if self._in_the_way else self._examples
        return {
            "classes": {
                data_class: {kind: {"count": count, "bytes": size} for kind, (count, size) in kinds.items()}
                for data_class, kinds in self._counts.items()
            },
            "examples": {kind: list(paths) for kind, paths in examples.items()},
            "oldest": _time(self._times[0]) if self._times else None,
            "newest": _time(self._times[1]) if self._times else None,
            "now_newest": None if self._now_newest is None else _time(self._now_newest),
        }

    def _look_for_mounts(self, path: str) -> None:
        for mount in [mount for mount in self._empty_mounts if path.startswith(mount + "/")]:
            del self._empty_mounts[mount]

    def _look_in_the_way(self, staying: Staying, path: str, real: str) -> None:
        """A file would replace a folder that holds what no backup has."""
        there = os.fsencode(real)
        with contextlib.suppress(OSError):
            if is_folder(there) and len(self._in_the_way) < MAX_IN_THE_WAY and staying.has_some(there):
                self._in_the_way.append(_shown(path))

    @staticmethod
    def _kind(entry: Entry, real: str) -> str:
        try:
            found = os.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            return "added"
        except OSError:
            return "replaced"
        if entry.kind == "symlink":
            is_same = stat.S_ISLNK(found.st_mode) and os.readlink(real) == entry.link  # noqa: PTH115 - as it is kept
        elif entry.kind == "hardlink":
            is_same = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
        else:
            is_regular = stat.S_ISREG(found.st_mode)
            is_same = is_regular and (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime_ns)
        return "same" if is_same else "replaced"

    def _count(self, place: Place, kind: str, path: str, size: int) -> None:
        counted = self._counts[place.data_class][kind]
        counted[0] += 1
        counted[1] += size
        examples = self._examples.get(kind)
        if examples is not None and len(examples) < MAX_EXAMPLES:
            examples.append(_shown(path))


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()[:200]


def _walk(
    place: Place, is_excluded: Callable[[bytes, bytes], bool] | None, closed: Collection[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """Files and links by their archive paths, without what backups leave out and what is in `closed`."""
    base = len(place.real) + 1
    try:
        found = os.lstat(place.real)
    except OSError:
        return
    if not stat.S_ISDIR(found.st_mode):
        yield place.name, found
        return
    ahead = [place.real]
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            continue
        for entry in entries:
            below = entry.path[base:]
            if is_excluded is not None and is_excluded(os.fsencode(below), os.fsencode(entry.name)):
                continue
            if entry.path in closed:
                continue
            if entry.is_dir(follow_symlinks=False):
                ahead.append(entry.path)
            elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                yield f"{place.name}/{below}", entry.stat(follow_symlinks=False)


def _time(mtime_ns: int) -> str:
    return datetime.fromtimestamp(mtime_ns // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
