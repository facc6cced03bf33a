"""The declared folders of sessions' files, each pinned at the agent's start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from device.remote.rules.folders import PathRefusedError, Pin, declared


class DeclaredFolders:
    """`download` and `upload`: the settings. `look` at the start."""

    def __init__(self, download: Sequence[str], upload: Sequence[str]) -> None:
        self.download = tuple(download)
        self.upload = tuple(upload)
        # Bound: the folders that the configuration declares.
        self._pins: dict[str, Pin] = {}

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys(filter(None, map(self.written, (*self.download, *self.upload)))))

    @staticmethod
    def written(folder: str) -> str:
        return "/" + "/".join(parts) if (parts := declared(folder)) else ""

    def look(self) -> None:
        """Links met now are the owner's declaration."""
        for folder in self.all:
            if folder not in self._pins:
                try:
                    path = Path(folder).resolve(strict=True)
                    facts = path.lstat()
                except (OSError, RuntimeError):  # not there, or links in a circle
                    continue
                self._pins[folder] = Pin(str(path), facts.st_dev, facts.st_ino)

    def pin(self, folder: str) -> Pin:
        """Raises PathRefusedError."""
        if folder not in self._pins:
            self.look()
        if folder not in self._pins:
            raise PathRefusedError("not_found", f"{folder} is not on the machine")
        return self._pins[folder]
