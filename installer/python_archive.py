"""Looks into the archive of a relocatable Python before a bundle takes it: for which processor, which version, and how
new a C library it needs."""

from __future__ import annotations

import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from installer.carried_python import CarriedPythonError, Entry, digest, members, open_archive
from installer.steps import InstallError

_ELF: Final = b"\x7fELF\x02\x01"
"""Of 64 bits, the low byte first, as both processors are."""
_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
_GLIBC: Final = re.compile(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)")
"""In an ELF file's names: the versions of the C library that it asks for."""
_BLOCK, _NAME = 2**20, 64
_PATCHLEVEL: Final = re.compile(rb'#define\s+PY_VERSION\s+"(3\.\d+\.\d+)')


class _Found(NamedTuple):
    programs: set[str]
    processors: set[str]
    glibc: int
    """The minor number; -1: no file asks for one, so that it is made for another C library."""
    patchlevel: str


def entry(archive: Path) -> Entry:
    """What the bundle's list says of it. Raises InstallError."""
    try:
        with open_archive(archive) as opened:
            found = _read(opened)
            while opened.fileobj is not None and opened.fileobj.read(2**20):
                pass  # its checksum stands at the end
        sha256 = digest(archive)
    except CarriedPythonError as error:
        raise InstallError(error.code, 3, **error.values) from error
    except (OSError, EOFError, RecursionError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise InstallError("python_unreadable", 3, path=archive, why=error) from error
    if len(found.programs) != 1 or len(found.processors) != 1:
        raise InstallError("python_odd", 3, path=archive)
    (version,), (processor,) = found.programs, found.processors
    if found.glibc < 0:
        raise InstallError("python_libc", 3, path=archive)
    version = found.patchlevel if found.patchlevel.startswith(f"{version}.") else version
    return {
        "file": archive.name, "processor": processor, "version": version, "glibc": found.glibc, "sha256": sha256,
    }  # fmt: skip


def _read(archive: tarfile.TarFile) -> _Found:
    programs, processors, glibc, patchlevel = set[str](), set[str](), -1, ""
    for path, member in members(archive):
        if not member.isreg() or (opened := archive.extractfile(member)) is None:
            continue
        content = opened.read(_BLOCK)
        if path.endswith("/patchlevel.h"):
            patchlevel = next(_texts(_PATCHLEVEL, content), patchlevel)
        if content.startswith(_ELF):
            processors.add(_MACHINES.get(int.from_bytes(content[18:20], "little"), "?"))
            glibc = max(glibc, _newest(content, opened))
            if program := re.fullmatch(r"bin/python(3\.\d+)", path):
                programs.add(program[1])
    return _Found(programs, processors, glibc, patchlevel)


def _newest(content: bytes, opened: IO[bytes]) -> int:
    """The newest C library that a file asks for; -1: none. In blocks: a library may be large."""
    newest = -1
    while content:
        newest = max([newest, *map(int, _texts(_GLIBC, content))])
        more = opened.read(_BLOCK)
        content = content[-_NAME:] + more if more else b""
    return newest


def _texts(pattern: re.Pattern[bytes], content: bytes) -> Iterator[str]:
    return (found.decode() for found in pattern.findall(content))
