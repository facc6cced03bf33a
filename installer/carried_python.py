"""A bundle's own Python, for a computer whose Python is too old: unpacked, tried, and started with the verb that was
given. Standard library only, and for Python 3.6: it runs on the old Python, and in the installer."""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import posixpath
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator

BUNDLE = "bundle.json"
FOLDER = "pythons"
"""Of a bundle, with one archive for a processor."""
MARK = ".carried.json"
"""In an unpacked Python, written last: its entry of the bundle."""
HOMES = {"run_device.py": Path("/opt/myrvm"), "run_hub.py": Path("/opt/myrvm-hub")}
MEMBERS, BYTES = 40000, 2 * 2**30
"""Bound: of an archive; those that are published have 5,000 files and 200 MB."""
HEAD, HEADS = 2**16, 2**24
"""Bound: of a header that a name is too long for, and of all of them; tarfile reads and keeps each whole."""
_LONG = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
)
NEEDED = "import bz2, ctypes, hashlib, lzma, sqlite3, ssl, venv, zlib"
CONFIGURATION = 3
_TEMPORARY = "myrvm-python-"

Entry = Dict[str, Any]
"""Of the bundle's list: file, processor, version, glibc, sha256."""


class CarriedPythonError(Exception):
    """`code` and `values` are a sentence of locales/; CODE.fix tells what to do."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(f"{code}: {values}")
        self.code = code
        self.values = values


def entries(source: Path) -> "list[Entry]":
    """What the bundle in `source` carries; a checkout carries nothing."""
    found = _read_json(source / BUNDLE).get("carried", [])
    return list(found)


def name_of(entry: Entry) -> str:
    return f"{entry['version']}+{entry['sha256'][:8]}"


def marked(folder: Path) -> Entry:
    """The entry of a Python that is unpacked as a whole; empty: none is."""
    return _read_json(folder / MARK)


def _read_json(path: Path) -> "dict[str, Any]":
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def program(folder: Path, entry: Entry) -> Path:
    return folder / "bin" / f"python{'.'.join(entry['version'].split('.')[:2])}"


def open_archive(path: Path) -> tarfile.TarFile:
    """With headers that end. Raises CarriedPythonError."""

    class BoundedHeader(tarfile.TarInfo):
        left = HEADS

        @classmethod
        def frombuf(cls, buf: "bytes | bytearray", encoding: str, errors: str) -> "BoundedHeader":
            found = super().frombuf(buf, encoding, errors)
            long = found.size if found.type in _LONG else 0
            cls.left -= long
            if long > HEAD or cls.left < 0 or found.type == tarfile.GNUTYPE_SPARSE:
                raise CarriedPythonError("python_unsafe", path=path, member=found.name)
            return found

        def _proc_gnusparse_10(self, *_: object) -> None:
            """Its map is as long as it says."""
            raise CarriedPythonError("python_unsafe", path=path, member=self.name)

    return tarfile.open(str(path), tarinfo=BoundedHeader)


def members(archive: tarfile.TarFile) -> "Iterator[tuple[str, tarfile.TarInfo]]":
    """Each with its path below `python/`. Raises CarriedPythonError for whatever would leave that folder, or could not
    be unpacked."""
    folders, others, sizes = set(), set(), {}  # type: set[str], set[str], dict[str, int]
    total = 0
    for count, member in enumerate(archive, 1):
        top, *inside = posixpath.normpath(member.name).split("/")
        path = "/".join(inside)
        parents = {"/".join(inside[:end]) for end in range(1, len(inside))}
        # A hard link's: of a file before it, and of no other member.
        size = sizes.get(posixpath.normpath(member.linkname), -1) if member.islnk() else member.size
        total += size
        is_odd = top != "python" or member.name.startswith("/") or ".." in member.name.split("/") or size < 0
        is_twice = path in others or parents & others or (path in folders and not member.isdir())
        if is_odd or is_twice or count > MEMBERS or total > BYTES or not _is_plain(member, inside):
            raise CarriedPythonError("python_unsafe", path=Path(str(archive.name)), member=member.name)
        folders |= parents
        (folders if member.isdir() else others).add(path)
        if member.isreg() or member.islnk():
            sizes[posixpath.normpath(member.name)] = size
        if inside:
            yield path, member


def _is_plain(member: tarfile.TarInfo, inside: "list[str]") -> bool:
    """`..` may only begin a link: behind another link it would lead elsewhere than it reads."""
    if "\0" in member.name + member.linkname or not 0 <= member.mtime < 2**32:
        return False
    if member.issym():
        target = member.linkname.split("/")
        up = next((at for at, part in enumerate(target) if part != ".."), len(target))
        return not member.linkname.startswith("/") and ".." not in target[up:] and up < len(inside)
    return member.isdir() if not inside else member.isreg() or member.isdir() or member.islnk()


def unpack(archive: Path, entry: Entry, folder: Path, stays: bool = False) -> None:
    """Whole or without its mark; whatever stood there goes. Raises CarriedPythonError."""
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(mode=0o755, parents=True)
    try:
        if digest(archive) != entry["sha256"]:
            raise CarriedPythonError("python_damaged", path=archive)
        with open_archive(archive) as opened:
            _write(opened, folder)
    except (OSError, EOFError, RecursionError, tarfile.TarError) as error:  # a header of a header of a header …
        raise CarriedPythonError("python_unreadable", path=archive, why=error) from error
    python = program(folder, entry)
    _try(python, entry)
    if stays:  # a service's user cannot store what it compiles
        words = [str(python), "-I", "-m", "compileall", "-q", "-j", "0", str(folder / "lib" / python.name)]
        subprocess.call(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.sync()
    beside = folder / f"{MARK}.new"
    with beside.open("w", encoding="utf-8") as file:
        json.dump(entry, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / MARK)


def _write(archive: tarfile.TarFile, folder: Path) -> None:
    """Of whoever runs this, readable by everybody, without the rights that an archive gives; links last."""
    links = []
    for path, member in members(archive):
        place = folder / path
        (place if member.isdir() else place.parent).mkdir(mode=0o755, parents=True, exist_ok=True)
        if member.issym():
            links.append((place, member.linkname))
        elif not member.isdir():
            content = archive.extractfile(member)
            if content is not None:
                with content, place.open("xb") as file:
                    shutil.copyfileobj(content, file)
            place.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
            os.utime(str(place), (member.mtime, member.mtime))  # what is compiled in it names it
    for place, target in links:
        place.symlink_to(target)


def remove(folder: Path) -> None:
    """Not whole from the first moment on."""
    with contextlib.suppress(FileNotFoundError):
        (folder / MARK).unlink()
    shutil.rmtree(str(folder))


def digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            found.update(block)
    return found.hexdigest()


def _try(python: Path, entry: Entry) -> None:
    """Whether it runs here, with the parts that nobody can add later."""
    here = re.match(r"glibc 2\.(\d+)", os.confstr("CS_GNU_LIBC_VERSION") or "")
    if here and int(here.group(1)) < entry["glibc"]:
        raise CarriedPythonError("python_glibc_here", needs=entry["glibc"], has=here.group(1))
    words = [str(python), "-I", "-B", "-c", NEEDED]
    try:
        subprocess.check_output(words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "output", b"").decode(errors="replace").strip()
        why = output.splitlines()[-1] if output else error
        raise CarriedPythonError("python_broken", version=entry["version"], why=why) from error


def archive_of(source: Path, entry: Entry) -> Path:
    return source / FOLDER / Path(entry["file"]).name


def start(source: Path, words: "list[str]") -> int:
    """The verb, by the installed Python if it is the bundle's, else by one that is unpacked for as long as this runs:
    what stays is a step of the installation, which a dry run only shows."""
    pythons = HOMES[Path(words[0]).name] / "python"
    entry = next((each for each in entries(source) if each["processor"] == platform.machine()), None)
    there = [place for place in sorted(pythons.glob("*")) if marked(place)]
    if entry is None and there:
        go_on(program(there[-1], marked(there[-1])), words)
    if entry is None:
        raise CarriedPythonError("python_none", processor=platform.machine(), has=platform.python_version())
    installed = pythons / name_of(entry)
    if installed in there and words[1] == "install":
        go_on(program(installed, entry), words)
    with temporary_folder() as (folder, lock):
        place = folder / "python"
        unpack(archive_of(source, entry), entry, place)
        started = subprocess.Popen([str(program(place, entry)), "-B", *words], pass_fds=[lock])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both
        signal.signal(signal.SIGTERM, lambda number, _: started.send_signal(number))
        return started.wait()


def go_on(python: Path, words: "list[str]") -> None:
    os.execv(str(python), [str(python), *words])


@contextlib.contextmanager
def temporary_folder() -> "Iterator[tuple[Path, int]]":
    """Held by a lock that the started process has too, so that one which was killed is removed by the next."""
    for left in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        if left.is_dir() and not left.is_symlink() and left.stat().st_uid == os.geteuid():
            with contextlib.suppress(OSError), _locked(left):
                shutil.rmtree(str(left), ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as folder, _locked(Path(folder)) as lock:
        yield Path(folder), lock


@contextlib.contextmanager
def _locked(folder: Path) -> "Iterator[int]":
    descriptor = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def main(source: Path, words: "list[str]") -> int:
    names = ("RVM_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # as texts.languages reads them, which old Pythons cannot
    wanted = next((os.environ[name] for name in names if os.environ.get(name)), "en")
    language = "id" if re.split("[_.@-]", wanted)[0].lower() in ("id", "in") else "en"
    try:
        return start(source, words)
    except CarriedPythonError as error:
        texts = _read_json(source / "installer" / "locales" / f"{language}.json")
        message = texts[error.code].format(**error.values)
        fix = texts[f"{error.code}.fix"].format(**error.values)
        sys.stderr.write(texts["failed"].format(message=message, fix=fix) + "\n")
        return CONFIGURATION


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, sys.argv[1:]))
