"""An archive of a relocatable Python, in the layout of those that are published: the tests' own Python, packed."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from installer import release
from installer.carried_python import BUNDLE, FOLDER, Entry, digest

MINOR = ".".join(map(str, sys.version_info[:2]))
LEFT_OUT = {
    "__pycache__", "asyncio", "curses", "dist-packages", "distutils", "ensurepip", "html", "idlelib", "lib2to3",
    "pydoc_data", "site-packages", "test", "tests", "tkinter", "turtledemo", "unittest", "wsgiref", "xml",
    "xmlrpc",
    "_pydecimal.py", "_pyio.py", "aifc.py", "cgi.py", "cgitb.py", "doctest.py", "ftplib.py", "imaplib.py",
    "mailbox.py", "nntplib.py", "optparse.py", "pdb.py", "pickletools.py", "plistlib.py", "poplib.py", "pydoc.py",
    "smtpd.py", "smtplib.py", "statistics.py", "telnetlib.py", "turtle.py", "webbrowser.py",
}  # fmt: skip
LEFT_OUT_OF = {
    "encodings": ("big5", "cp", "euc", "gb", "hp", "iso", "johab", "koi8", "kz", "mac", "ptcp", "shift", "tis"),
    "lib-dynload": ("_codecs", "_curses", "_test", "_tkinter", "_xx", "audioop", "xx"),
}
"""What an installation does not need: each one compiles all that is left, and some tests install forty times."""


def packed_python(path: Path) -> Path:
    """It runs wherever it is unpacked, on a computer like this one."""
    with tarfile.open(path, "w") as archive:
        archive.add(release.base_python(), f"python/bin/python{MINOR}")
        archive.add(sysconfig.get_path("stdlib"), f"python/lib/python{MINOR}", filter=_needed)
        shared = Path(str(sysconfig.get_config_var("LIBDIR"))) / f"libpython{MINOR}.so.1.0"
        if shared.exists():
            archive.add(shared, f"python/lib/{shared.name}")
        link(archive, "python/bin/python3", f"python{MINOR}")
    return path


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = Path(member.name)
    is_needed = not LEFT_OUT & set(path.parts) and not any(part.startswith("config-") for part in path.parts)
    is_needed = is_needed and (path.stem == "cp437" or not path.name.startswith(LEFT_OUT_OF.get(path.parent.name, ())))
    return member if is_needed and (member.isreg() or member.isdir()) else None


def link(archive: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    archive.addfile(member)


def archive_of(path: Path, fill: Callable[[tarfile.TarFile], Any]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        fill(archive)
    return path


def entry_of(archive: Path, **other: object) -> Entry:
    found: Entry = {"file": archive.name, "processor": platform.machine(), "version": f"{MINOR}.99", "glibc": 17}
    return {**found, "sha256": digest(archive), **other}


def carry(bundle: Path, archive: Path, **other: object) -> Entry:
    """Into a folder to install from, as `run_hub.py bundle --with-python` does."""
    (bundle / FOLDER).mkdir(exist_ok=True)
    archive = Path(shutil.move(archive, bundle / FOLDER / archive.name))
    entry = entry_of(archive, **other)
    (bundle / BUNDLE).write_text(json.dumps({"carried": [entry]}))
    return entry
