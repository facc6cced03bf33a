"""The machine's key: as its own file has it, or as it was renewed over the link. Blocks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from device.kernel import state_file
from protocol.enrolment import key_hash

FILE: Final = "machine_key"


class RenewedKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """In the state folder; counts while the machine's own file holds the key whose hash is `instead_of`, so that
    whoever writes another one there means it. `current`: in use instead of it, "": none. `offered`: made here for
    `command`; in use once it is `adopted`, and the only one when the hub has confirmed it."""

    instead_of: str
    current: str = ""
    offered: str = ""
    adopted: bool = False
    command: str = ""

    def before(self, written: str) -> str:
        """The key that is valid until the offered one is confirmed."""
        return self.current or written

    def in_use(self, written: str) -> str:
        return self.offered if self.adopted else self.before(written)


def renewed_key(written: str, folder: Path) -> RenewedKey:
    """What counts beside the `written` key."""
    kept, own = state_file.read_value(folder / FILE, RenewedKey), key_hash(written)
    if kept is not None and kept.instead_of == own:
        return kept
    if kept is not None and kept.current and key_hash(kept.current) == own:  # the file has it by now
        return msgspec.structs.replace(kept, instead_of=own, current="")
    return RenewedKey(instead_of=own)


def keep(folder: Path, renewed: RenewedKey) -> None:
    """Old or new, never half. Raises OSError."""
    state_file.write_value(folder / FILE, renewed)


def write_into(file: Path, old: str, new: str) -> bool:
    """The new key where the old one stands, and all else as it was. False: the state folder has to hold it, because
    the file cannot be written by us, is another user's, or does not name the old key exactly once. Raises OSError."""
    place = Path(os.path.realpath(file))
    content = place.read_bytes()
    if content.count(old.encode()) != 1 or place.stat().st_uid != os.geteuid():
        return False
    state_file.write_bytes(place, content.replace(old.encode(), new.encode()))
    return True
