"""A bundle's own Python: what its archive may hold, and an installation that an old Python begins."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import platform
import random
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import bundle, carried_python, plan, python_archive
from installer.carried_python import HEAD, HEADS, MARK, CarriedPythonError
from installer.steps import InstallError
from tests.installer.python_tar import MINOR, archive_of, carry, entry_of, link, packed_python
from tests.installer.small_checkout import small_checkout
from tests.support.throwaway_root import ThrowawayRoot, throwaway_root

Fill = Callable[[tarfile.TarFile], object]
ELF = {"x86_64": 62, "aarch64": 183, "riscv64": 243}
OLD = next(iter(sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))), None)
needs_an_old_python = pytest.mark.skipif(OLD is None, reason="no Python 3.8 here")


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def elf(processor: str, *names: str) -> bytes:
    head = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + ELF[processor].to_bytes(2, "little")
    return head.ljust(64, b"\0") + b"".join(b"\0" + name.encode() for name in names) + b"\0"


def python_of(path: Path, processor: str, *names: str, minor: str = "3.11") -> Path:
    """Its headers and the names in it; it does not run."""

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, f"python/bin/python{minor}", elf(processor, *names), 0o755)
        add(archive, f"python/include/python{minor}/patchlevel.h", f'#define PY_VERSION      "{minor}.9"\n'.encode())
        add(archive, f"python/lib/python{minor}/lib-dynload/_ssl.so", elf(processor, "GLIBC_2.17", "GLIBC_2.3.4"))

    return archive_of(path, fill)


OUTSIDE: dict[str, Fill] = {
    "absolute": lambda archive: add(archive, "/python/bin/x"),
    "above": lambda archive: add(archive, "python/../x"),
    "beside": lambda archive: add(archive, "pythonx/x"),
    "link above": lambda archive: link(archive, "python/lib/x", "../../x"),
    "absolute link": lambda archive: link(archive, "python/x", "/etc/shadow"),
    "link to the top's parent": lambda archive: link(archive, "python/x", ".."),
    "hard link outside": lambda archive: link(archive, "python/x", "etc/shadow", tarfile.LNKTYPE),
    "hard link to nothing": lambda archive: link(archive, "python/x", "python/y", tarfile.LNKTYPE),
    "hard link to a link": lambda archive: hard_link_to_a_link(archive),
    "device": lambda archive: link(archive, "python/x", "", tarfile.CHRTYPE),
    "pipe": lambda archive: link(archive, "python/x", "", tarfile.FIFOTYPE),
    "the top a link": lambda archive: link(archive, "python", "."),
    "no number for a time": lambda archive: headed(archive, mtime="nan"),
    "a time beyond all": lambda archive: headed(archive, mtime="1e300"),
    "NUL in a name": lambda archive: headed(archive, path="python/x\0y"),
    "a long pax header": lambda archive: header(archive, tarfile.XHDTYPE, HEAD + 1),
    "a long pax header for all": lambda archive: header(archive, tarfile.XGLTYPE, HEAD + 1),
    "a long name": lambda archive: header(archive, tarfile.GNUTYPE_LONGNAME, HEAD + 1),
    "a long link": lambda archive: header(archive, tarfile.GNUTYPE_LONGLINK, HEAD + 1),
    "headers without end": lambda archive: many_headers(archive),
    "a sparse file": lambda archive: sparse(archive),
    "an old sparse file": lambda archive: header(archive, tarfile.GNUTYPE_SPARSE, 0),
    "twice": lambda archive: files(archive, "python/x", "python/x"),
    "below a file": lambda archive: files(archive, "python/x", "python/x/y"),
    "a link in a folder's place": lambda archive: link_over_a_folder(archive),
}


def files(archive: tarfile.TarFile, *names: str) -> None:
    for name in names:
        add(archive, name)


def hard_link_to_a_link(archive: tarfile.TarFile) -> None:
    link(archive, "python/x", "y")
    link(archive, "python/z", "python/x", tarfile.LNKTYPE)


def link_over_a_folder(archive: tarfile.TarFile) -> None:
    add(archive, "python/x/y")
    link(archive, "python/x", "z")


def headed(archive: tarfile.TarFile, **headers: str) -> None:
    member = tarfile.TarInfo("python/x")
    member.pax_headers = headers
    archive.addfile(member)


def header(archive: tarfile.TarFile, kind: bytes, size: int, name: str = "python/x") -> None:
    """Of so many bytes, that say nothing."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    archive.addfile(member, io.BytesIO(bytes(size)))


def many_headers(archive: tarfile.TarFile) -> None:
    """None too long, all of them more than names need."""
    for number in range(HEADS // HEAD + 1):
        header(archive, tarfile.XHDTYPE, HEAD)
        add(archive, f"python/{number}")


def sparse(archive: tarfile.TarFile) -> None:
    """Its map would be as long as it says."""
    member = tarfile.TarInfo("python/x")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    member.size = 1024
    archive.addfile(member, io.BytesIO(b"1000000\n".ljust(1024, b"0")))


def through_another_link(archive: tarfile.TarFile) -> None:
    """Each reads as if it stayed inside; the second leads to `python/../x`."""
    add(archive, "python/top/x")
    link(archive, "python/a/b/c/up", "../../../top")
    link(archive, "python/a/b/c/out", "up/../../x")


def behind_a_link(archive: tarfile.TarFile) -> None:
    link(archive, "python/a/b", "..")
    link(archive, "python/a/b/c/d", "../../../x")


@pytest.mark.parametrize(
    "fill",
    [*OUTSIDE.values(), behind_a_link, through_another_link],
    ids=[*OUTSIDE, "behind a link", "through another link"],
)
def test_nothing_leaves_the_folder(fill: Fill, tmp_path: Path) -> None:
    archive, folder = archive_of(tmp_path / "odd.tar.gz", fill), tmp_path / "in" / "it"
    with pytest.raises(InstallError) as refused:
        python_archive.entry(archive)
    assert refused.value.code == "python_unsafe"
    with pytest.raises(CarriedPythonError) as stopped:
        carried_python.unpack(archive, entry_of(archive), folder)
    assert stopped.value.code == "python_unsafe"
    assert stopped.value.values["path"] == refused.value.values["path"] == archive
    found = [path for path in tmp_path.rglob("*") if not path.is_dir() and folder not in path.parents]
    assert found == [archive]


def test_headers_of_headers_are_no_traceback(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for _ in range(2000):
            header(archive, tarfile.XHDTYPE, 0)

    archive = archive_of(tmp_path / "deep", fill)
    with pytest.raises(InstallError) as refused:
        python_archive.entry(archive)
    assert refused.value.code == "python_unreadable"
    assert refused_by_unpack(archive, tmp_path / "there") == "python_unreadable"


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(tmp_path / "bomb", lambda opened: add(opened, "python/x", bytes(5000)))
    monkeypatch.setattr(carried_python, "BYTES", 4999)
    with pytest.raises(InstallError) as refused:
        python_archive.entry(archive)
    assert refused.value.code == "python_unsafe"


def test_members_count_also_when_they_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for _ in range(6):
            folder = tarfile.TarInfo("python/x")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)

    archive = archive_of(tmp_path / "bomb", fill)
    monkeypatch.setattr(carried_python, "MEMBERS", 5)
    with pytest.raises(InstallError) as refused:
        python_archive.entry(archive)
    assert refused.value.code == "python_unsafe"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_one_byte_that_a_copy_got_wrong_is_found_before_it_is_carried(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Also where nothing but the checksum at the archive's end tells."""
    whole = python_of(tmp_path / "whole", "x86_64", "GLIBC_2.17")
    with tarfile.open(tmp_path / "tar", "w") as archive, tarfile.open(whole) as opened:
        for member in opened:
            archive.addfile(member, opened.extractfile(member))
        add(archive, "python/lib/x", random.Random(1).randbytes(50000))  # nothing that a packer shortens
    packed = bytearray(pack((tmp_path / "tar").read_bytes()))
    (tmp_path / "good").write_bytes(packed)
    assert python_archive.entry(tmp_path / "good")["version"] == "3.11.9"
    packed[len(packed) // 2] ^= 1
    (tmp_path / "wrong").write_bytes(packed)
    with pytest.raises(InstallError) as refused:
        python_archive.entry(tmp_path / "wrong")
    assert refused.value.code == "python_unreadable"


def test_what_an_archive_gives_is_readable_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, f"python/bin/python{MINOR}", b"#!/bin/sh\n", 0o4777)
        add(archive, "python/lib/x.py", b"x", 0o600)
        link(archive, "python/bin/python3", f"python{MINOR}")
        link(archive, "python/lib/y.py", "python/lib/x.py", tarfile.LNKTYPE)

    archive, folder = archive_of(tmp_path / "a", fill), tmp_path / "there"
    folder.mkdir()
    (folder / "half").touch()
    carried_python.unpack(archive, entry_of(archive), folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.name != MARK}
    assert modes == {
        "bin": 0o755,
        f"python{MINOR}": 0o755,
        "python3": 0o755,
        "lib": 0o755,
        "x.py": 0o644,
        "y.py": 0o644,
    }
    assert (folder / "lib" / "y.py").read_text() == "x"
    assert carried_python.marked(folder) == entry_of(archive)


def refused_by_unpack(archive: Path, folder: Path, **other: object) -> str:
    with pytest.raises(CarriedPythonError) as refused:
        carried_python.unpack(archive, entry_of(archive, **other), folder)
    assert carried_python.marked(folder) == {}
    return refused.value.code


def test_one_that_is_damaged_too_new_or_does_not_run_is_never_taken_for_whole(tmp_path: Path) -> None:
    fails = archive_of(
        tmp_path / "a", lambda opened: add(opened, f"python/bin/python{MINOR}", b"#!/bin/false\n", 0o755)
    )
    assert refused_by_unpack(fails, tmp_path / "there") == "python_broken"
    assert refused_by_unpack(fails, tmp_path / "there", sha256="0" * 64) == "python_damaged"
    assert refused_by_unpack(fails, tmp_path / "there", glibc=99) == "python_glibc_here"
    (tmp_path / "cut").write_bytes(fails.read_bytes()[:-20])
    assert refused_by_unpack(tmp_path / "cut", tmp_path / "there") == "python_unreadable"
    (tmp_path / "empty").write_bytes(b"")
    assert refused_by_unpack(tmp_path / "empty", tmp_path / "there") == "python_unreadable"


def test_a_bundle_notes_version_processor_and_c_library(tmp_path: Path) -> None:
    both = [python_of(tmp_path / f"{name}.tar.gz", name, "GLIBC_2.28") for name in ("aarch64", "x86_64")]
    first, second = bundle.carry(both, bundle.PYTHONS, bundle.PROCESSORS)
    assert (first["version"], first["processor"], first["glibc"]) == ("3.11.9", "aarch64", 28)
    assert second["processor"] == "x86_64"
    assert first["file"] == f"3.11.9+{first['sha256'][:8]}-aarch64"
    own = python_archive.entry(packed_python(tmp_path / "own"))
    assert (own["processor"], own["version"]) == (platform.machine(), MINOR)
    assert own["glibc"] >= 17


@pytest.mark.parametrize("block", [80, 84, 87])
def test_a_library_is_read_in_blocks(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = python_of(tmp_path / "a", "x86_64", "GLIBC_2.2.5", "GLIBC_2.30", "GLIBC_2.4")
    whole = python_archive.entry(path)
    monkeypatch.setattr(python_archive, "_BLOCK", block)
    assert (whole["glibc"], python_archive.entry(path)) == (30, whole)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: python_of(path, "aarch64", "GLIBC_2.34"), "python_glibc"),
        (lambda path: archive_of(path, lambda a: add(a, "python/bin/python3.11", elf("aarch64"))), "python_libc"),
        (lambda path: python_of(path, "riscv64", "GLIBC_2.17"), "python_wheels"),
        (lambda path: python_of(path, "x86_64", "GLIBC_2.17", minor="3.9"), "python_wheels"),
        (lambda path: archive_of(path, lambda a: add(a, "python/readme")), "python_odd"),
        (lambda path: path.write_text("no archive") and path, "python_unreadable"),
        (lambda path: path, "python_unreadable"),
    ],
)
def test_a_bundle_refuses_what_no_machine_could_run(make: Callable[[Path], Path], code: str, tmp_path: Path) -> None:
    path = make(tmp_path / "archive")
    with pytest.raises(InstallError) as refused:
        bundle.carry([path], bundle.PYTHONS, bundle.PROCESSORS)
    assert (refused.value.code, refused.value.values["path"]) == (code, path)


def test_one_archive_for_a_processor(tmp_path: Path) -> None:
    path = python_of(tmp_path / "a", "aarch64", "GLIBC_2.17")
    for archives, pythons, code in (([path, path], ("3.11",), "python_twice"), ([path], ("3.12",), "python_wheels")):
        with pytest.raises(InstallError) as refused:
            bundle.carry(archives, pythons, ("aarch64",))
        assert refused.value.code == code


def test_it_stands_where_the_product_does() -> None:
    assert {"run_device.py": plan.AGENT.home, "run_hub.py": plan.HUB.home} == carried_python.HOMES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return small_checkout(tmp_path / "checkout")


def begun(root: ThrowawayRoot, checkout: Path, *words: str, **environ: str) -> tuple[int, str]:
    """By a Python 3.8, where no newer one is."""
    done = root.run(str(OLD), str(checkout / "run_device.py"), *words, **environ)
    return done.returncode, done.stdout + done.stderr


def without_newer(root: ThrowawayRoot) -> None:
    for path in (root.path / "usr" / "bin").glob("python3*"):
        path.unlink()


@needs_an_old_python
@pytest.mark.timeout(400)
def test_an_installation_that_an_old_python_begins(checkout: Path, tmp_path: Path) -> None:
    entry = carry(checkout, packed_python(tmp_path / "first.tar"))
    place = f"/opt/myrvm/python/{carried_python.name_of(entry)}"
    with throwaway_root(seen=checkout) as root:
        without_newer(root)
        code, shown = begun(root, checkout, "install", "--dry-run")
        assert (code, f"would: unpack Python {MINOR}.99 into {place}" in shown) == (0, True), shown
        assert not (root.path / "opt/myrvm").exists()
        assert left_in(root) == []
        (root.path / "tmp/myrvm-python-killed").mkdir()
        code, shown = begun(root, checkout, "install")
        assert (code, f"unpack Python {MINOR}.99" in shown) == (0, True), shown
        assert left_in(root) == []
        assert f"home = {place}/bin" in (root.path / "opt/myrvm/current/.venv/pyvenv.cfg").read_text()
        assert root.run("/opt/myrvm/current/.venv/bin/python", "--version").stdout.startswith(f"Python {MINOR}")
        code, shown = begun(root, checkout, "install")
        assert (code, "nothing was changed" in shown) == (0, True), shown
        changed_python_is_taken_and_the_former_kept(root, checkout, tmp_path)
        code, shown = begun(root, checkout, "uninstall", "--purge")
        assert (code, "nothing is left" in shown) == (0, True), shown
        assert (left_in(root), (root.path / "opt/myrvm").exists()) == ([], False)
        code, shown = begun(root, checkout, "uninstall")
        assert (code, "nothing was changed" in shown) == (0, True), shown


def left_in(root: ThrowawayRoot) -> list[Path]:
    return list((root.path / "tmp").glob("myrvm-python-*"))


def installed(root: ThrowawayRoot) -> set[str]:
    return {path.name for path in (root.path / "opt/myrvm/python").iterdir()}


def changed_python_is_taken_and_the_former_kept(root: ThrowawayRoot, checkout: Path, tmp_path: Path) -> None:
    """For as long as the former release is; the one before goes with its release."""
    kept = [installed(root)]
    for number in (2, 3):
        archive = packed_python(tmp_path / f"{number}.tar")
        with tarfile.open(archive, "a") as opened:
            add(opened, "python/number", str(number).encode())
        carry(checkout, archive)
        code, shown = begun(root, checkout, "install")
        assert code == 0, shown
        kept.append(installed(root))
    assert [len(names) for names in kept] == [1, 2, 2]
    assert kept[0] <= kept[1]
    assert not kept[0] & kept[2]
    assert "remove old Pythons" in shown


@needs_an_old_python
@pytest.mark.timeout(400)
def test_what_an_old_python_cannot_begin_is_refused_in_the_readers_language(checkout: Path, tmp_path: Path) -> None:
    carry(checkout, packed_python(tmp_path / "a.tar"), processor="riscv64")
    with throwaway_root(seen=checkout) as root:
        without_newer(root)
        for language, words in (("en", "the bundle carries none for"), ("id", "bundel tidak menyertakan Python untuk")):
            code, shown = begun(root, checkout, "install", RVM_LANG=language)
            assert (code, words in shown, "Traceback" in shown) == (3, True, False), shown
        carry(checkout, checkout / "pythons" / "a.tar", sha256="0" * 64)
        code, shown = begun(root, checkout, "install", "--dry-run")
        assert (code, "is not what the bundle was made with" in shown) == (3, True), shown
        assert not (root.path / "opt/myrvm").exists()


@needs_an_old_python
@pytest.mark.timeout(400)
def test_a_removal_without_the_bundle_goes_by_the_installed_one(checkout: Path, tmp_path: Path) -> None:
    carry(checkout, packed_python(tmp_path / "a.tar"))
    with throwaway_root(seen=checkout) as root:
        without_newer(root)
        assert begun(root, checkout, "install")[0] == 0
        bare = json.dumps({"carried": []})
        (checkout / "bundle.json").write_text(bare)
        code, shown = begun(root, checkout, "uninstall", "--purge")
        assert (code, "nothing is left" in shown) == (0, True), shown
        assert not (root.path / "opt/myrvm").exists()
