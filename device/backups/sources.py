"""Where a machine's data stands when its file names no sources, and what a backup takes.

Configuration (JSON), databases, logs, photographs; `backup_sources` overrides it."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from archive.manifest import ArchiveSource
from device.settings.backup_values import BackupSource
from protocol.kinds import BackupClass

MOST_LINKS: Final = 40
_LEFT_OUT: Final = ["*.tmp", "*.pid", "*.sock", "__pycache__", ".cache"]
_DEFAULTS: Final[tuple[tuple[str, str, BackupClass], ...]] = (
    ("configuration", "/etc/rvm", "configuration"),
    ("data", "/var/lib/rvm", "data"),
    ("images", "/var/lib/rvm-images", "images"),
    ("logs", "/var/log/rvm", "logs"),
    ("program-configuration", "/opt/rvm/config", "configuration"),
    ("program-data", "/opt/rvm/data", "data"),
    ("program-images", "/opt/rvm/images", "images"),
    ("program-logs", "/opt/rvm/logs", "logs"),
)


AGENT: Final = "agent"
"""The agent's own file, where no other source holds it."""


def default_sources(root: Path = Path("/"), *, agent_file: Path | None = None) -> dict[str, BackupSource]:
    """Usual places that exist below `root`, and the agent's own file."""
    found = {
        name: BackupSource(path=str(root / path.lstrip("/")), data_class=data_class, exclude=_LEFT_OUT)
        for name, path, data_class in _DEFAULTS
        if (root / path.lstrip("/")).is_dir()
    }
    if agent_file is not None and agent_file.is_file() and not _is_within(agent_file, found):
        found[AGENT] = BackupSource(path=str(agent_file.absolute()), data_class="configuration")
    return found


def chosen(
    sources: Mapping[str, BackupSource], *, include_images: bool, include_logs: bool
) -> dict[str, ArchiveSource]:
    left_out = {name for name, wanted in (("images", include_images), ("logs", include_logs)) if not wanted}
    return {
        name: ArchiveSource(root=source.path, class_=source.data_class, exclude=tuple(source.exclude))
        for name, source in sorted(sources.items())
        if source.data_class not in left_out
    }


def without(sources: Mapping[str, ArchiveSource], secret: Sequence[str]) -> dict[str, ArchiveSource]:
    """Without files and folders that must not leave the machine, links resolved: whoever may download a backup must
    not read its key."""
    hidden = [Path(os.path.realpath(path)) for path in secret]
    kept: dict[str, ArchiveSource] = {}
    for name, source in sources.items():
        root = Path(os.path.realpath(source.root))
        inside = [f"/{glob.escape(str(path.relative_to(root)))}" for path in hidden if root in path.parents]
        if not any(path == root or path in root.parents for path in hidden):
            kept[name] = replace(source, exclude=(*source.exclude, *inside))
    return kept


class UntrustedLinkError(Exception):
    """Somebody else's link is on the way to a source, or is it."""


def followed(path: str) -> str:
    """With links resolved. Raises UntrustedLinkError for a link that neither root, nor this agent, nor its target's
    owner made: whoever may write above a source would choose what a root agent reads or replaces."""
    done, left, links = "/", [*reversed(Path(path).absolute().parts[1:])], 0
    while left:
        step = left.pop()
        there = str(Path(done).parent) if step == ".." else f"{done.rstrip('/')}/{step}"
        if step in ("", ".") or not Path(there).is_symlink():
            done = done if step in ("", ".") else there
            continue
        links += 1
        if links > MOST_LINKS or not _is_trusted(there):
            raise UntrustedLinkError(f"{there}: a link of somebody else leads to where {path} is")
        to = os.readlink(there)  # noqa: PTH115 - as it stands there
        done = "/" if to.startswith("/") else done
        left += reversed(to.split("/"))
    return done


def place_of(source: ArchiveSource) -> Path:
    """With links resolved; its path as it is where one may not be followed, so that nothing can be read there."""
    try:
        return Path(followed(source.root))
    except (UntrustedLinkError, OSError):
        return Path(source.root)


def _is_trusted(link: str) -> bool:
    owner = os.lstat(link).st_uid
    try:
        return owner in (0, os.geteuid()) or owner == os.stat(link).st_uid  # noqa: PTH116 - as lstat above
    except OSError:  # it leads to nothing yet
        return False


def _is_within(file: Path, sources: Mapping[str, BackupSource]) -> bool:
    return any(Path(source.path) in file.absolute().parents for source in sources.values())


def excluder(patterns: Sequence[str]) -> Callable[[bytes, bytes], bool] | None:
    """Whether a name is left out, by its path below the source and itself: a pattern with a slash is of the path,
    else of the name. None: no patterns. Names are bytes, as on disk."""
    by_name = [pattern for pattern in patterns if "/" not in pattern.rstrip("/")]
    by_path = [pattern.strip("/") for pattern in patterns if "/" in pattern.rstrip("/")]
    name_fits, path_fits = _any_of(by_name), _any_of(by_path)
    if name_fits is None and path_fits is None:
        return None

    def is_excluded(path: bytes, name: bytes) -> bool:
        if name_fits is not None and name_fits.match(name) is not None:
            return True
        return path_fits is not None and path_fits.match(path) is not None

    return is_excluded


def _any_of(patterns: Sequence[str]) -> re.Pattern[bytes] | None:
    if not patterns:
        return None
    return re.compile(b"|".join(fnmatch.translate(p.rstrip("/")).encode("utf-8", "surrogateescape") for p in patterns))
