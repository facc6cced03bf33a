"""Files and folders with extended attributes and ACLs, as a machine's folder may have them."""

from __future__ import annotations

import os
from pathlib import Path

from archive import acl
from archive.attributes import ACCESS, DEFAULT

FOR_A_USER = "user::rw-,user:54321:rwx,group::---,mask::rw-,other::---"
"""Of a file: its mode's group bits are the mask, and the group may nothing."""
INHERITED = "user::rwx,user:54321:r-x,group::r-x,mask::r-x,other::---"


def as_given(_name: str, number: int) -> int:
    return number


def set_acl(path: Path, text: str, name: str = ACCESS) -> None:
    os.setxattr(path, name, acl.packed(text, as_given, as_given))


def acl_of(path: Path, name: str = ACCESS) -> str:
    """In numbers; empty for none."""
    if name not in os.listxattr(path):
        return ""
    return acl.numeric(acl.text_of(os.getxattr(path, name), lambda _: "", lambda _: ""))


def extended_folder(root: Path) -> Path:
    """A file with attributes and an ACL, a folder with a default ACL, and some that have neither."""
    (root / "shared").mkdir(parents=True)
    set_acl(root / "shared", INHERITED, DEFAULT)
    os.setxattr(root / "shared", "user.owner", b"kiosk")
    (root / "weights.json").write_bytes(b"{}")
    os.setxattr(root / "weights.json", "user.checksum", b"\x00\xff=\n 7")
    os.setxattr(root / "weights.json", "user.empty", b"")
    set_acl(root / "weights.json", FOR_A_USER)
    os.link(root / "weights.json", root / "weights.same")
    (root / "plain.json").write_bytes(b"{}")
    (root / "locked").write_bytes(b"x")
    os.setxattr(root / "locked", "user.note", b"before the mode")
    (root / "locked").chmod(0o400)
    return root


def extended_picture(root: Path) -> dict[str, tuple[int, dict[str, bytes]]]:
    """Mode, extended attributes and ACLs of what stands below a folder."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, {n: os.getxattr(path, n) for n in os.listxattr(path)})
        for path in sorted(root.rglob("*"))
        if not path.is_symlink()
    }
