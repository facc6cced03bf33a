"""Hard links that are chosen where their file is not: the first of them gets the content, the others are links of it.

An archive is read once from front to back; its plan says which links will follow the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from archive.manifest import Entry, Line


class LoneLinks:
    """Of one archive. `is_chosen`: whether a path is restored."""

    def __init__(self, is_chosen: Callable[[str], bool]) -> None:
        self._is_chosen = is_chosen
        self._links: dict[str, list[str]] = {}
        """By the path of their file. Bound: MAX_ENTRIES of the plan, in all."""
        self._files: dict[str, str] = {}
        """By link. Bound: likewise."""
        self._came: set[str] = set()
        """Files whose content stands at the first of their links. Bound: likewise."""

    def plan(self, entry: Entry) -> None:
        """An entry of the plan that is chosen."""
        if entry.kind == "hardlink" and entry.link and not self._is_chosen(entry.link):
            self._links.setdefault(entry.link, []).append(entry.path)
            self._files[entry.path] = entry.link

    def take(self, file: str) -> str | None:
        """Where the content of a file that is not chosen belongs, if anywhere."""
        links = self._links.get(file)
        if not links:
            return None
        self._came.add(file)
        return links[0]

    def of(self, file: str) -> str:
        """What a link of `file` is to be a link of."""
        return self._links[file][0] if self._links.get(file) else file

    def replace(self, link: str) -> str | None:
        """Something else takes the place of a link. Where that had the content: the link that is to have it then."""
        file = self._files.pop(link, None)
        if file is None:
            return None
        had_content = file in self._came and self._links[file][0] == link
        self._links[file].remove(link)
        return self._links[file][0] if had_content and self._links[file] else None


def with_lone_links(
    read: Callable[[Path], Iterable[Line]], manifest: Path, is_chosen: Callable[[str], bool]
) -> Iterator[Line]:
    """The lines of a manifest in which a chosen hard link of a file that is not chosen is a file of its own."""
    links = (line for line in read(manifest) if isinstance(line, Entry) and line.kind == "hardlink")
    wanted = {line.link for line in links if is_chosen(line.path) and not is_chosen(line.link or "")}
    files: dict[str, Entry] = {}  # Bound: MAX_ENTRIES of the manifest
    for line in read(manifest):
        file = files.get(line.link or "") if isinstance(line, Entry) and line.kind == "hardlink" else None
        if isinstance(line, Entry) and file is not None:
            yield msgspec.structs.replace(
                line,
                kind="file",
                link=None,
                size=file.size,
                sha256=file.sha256,
                sparse=file.sparse,
                attributes=file.attributes,
                acl=file.acl,
            )
        else:
            yield line
        if isinstance(line, Entry) and line.path in wanted and line.has_content:
            files[line.path] = line
