"""Paths of a remote access session: only what lies below a declared folder, by its plain name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.remote.rules.folders import DeclaredPath, PathRefusedError, can_travel, declared, locate
from tests.support.file_names import NAMES

FOLDERS = ["/var/log/rvm", "/srv/data/", "/srv/data/inner", "relative", "", "/", "/a/../b"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/var/log/rvm", DeclaredPath("/var/log/rvm", ())),
        ("/var/log/rvm/app.log", DeclaredPath("/var/log/rvm", ("app.log",))),
        ("/srv/data/sub/ä b.bin", DeclaredPath("/srv/data", ("sub", "ä b.bin"))),
        ("/srv/data/inner/x", DeclaredPath("/srv/data/inner", ("x",))),
        ("/srv/data/...", DeclaredPath("/srv/data", ("...",))),
    ],
)
def test_what_lies_in_a_declared_folder_is_found_in_the_innermost(path: str, place: DeclaredPath) -> None:
    assert locate(path, FOLDERS) == place
    assert locate(path, FOLDERS).name == path.rpartition("/")[2]


CORPUS = [
    "/", "//", "/etc/passwd", "/var/log/rvmx/app.log", "/var/log", "/var/log/rvm/../../../etc/shadow",
    "/var/log/rvm/..", "/var/log/rvm/.", "/var/log/rvm//app.log", "/var/log/rvm/./app.log", "/var/log/rvm/",
    "//var/log/rvm/app.log", "../etc/passwd", "var/log/rvm/app.log", "~/x", "file:///var/log/rvm/app.log",
    "/a/b", "/b", "relative/x", "\\var\\log\\rvm", "/VAR/log/rvm/app.log", "/srv/data/../data/x", "/proc/self/environ",
]  # fmt: skip


@pytest.mark.parametrize("path", CORPUS)
def test_a_path_that_leads_out_is_not_declared(path: str) -> None:
    with pytest.raises(PathRefusedError) as refused:
        locate(path, FOLDERS)
    assert refused.value.code == "not_declared"


@pytest.mark.parametrize(
    "path",
    [None, 7, ["/srv/data/x"], b"/srv/data/x", "", "/srv/data/a\0b", "/srv/data/a\nb", "/srv/data/\x1b[2J",
     "/srv/data/\x85", "/srv/data/\x7f", "/srv/data/\ud800", "/srv/data/" + "x/" * 4000],
)  # fmt: skip
def test_what_is_no_readable_path_is_invalid(path: object) -> None:
    with pytest.raises(PathRefusedError) as refused:
        locate(path, FOLDERS)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("name", NAMES)
def test_every_letter_that_a_name_may_have_travels(name: str) -> None:
    assert locate(f"/srv/data/{name}", FOLDERS).name == name
    assert can_travel(name)


@pytest.mark.parametrize("name", ["x" * 256, "€" * 90, ".rvm-upload-0123"])
def test_names_no_file_has_are_not_found(name: str) -> None:
    with pytest.raises(PathRefusedError) as refused:
        locate(f"/srv/data/{name}", FOLDERS)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("folder", ["", "/", "relative", "/a/../b", "/a//b"])
def test_a_folder_that_is_no_plain_absolute_one_declares_nothing(folder: str) -> None:
    assert declared(folder) is None
    assert declared("/srv/data/") == ("srv", "data")


@given(st.lists(st.sampled_from(["..", ".", "", "srv", "data", "x", "etc", "~"]), max_size=8), st.booleans())
def test_whatever_is_let_through_lies_below_its_folder(parts: list[str], rooted: bool) -> None:
    path = ("/" if rooted else "") + "/".join(parts)
    try:
        place = locate(path, ["/srv/data"])
    except PathRefusedError:
        return
    assert "/".join((place.folder, *place.parts)) == path
    assert path == "/srv/data" or path.startswith("/srv/data/")
    assert not {"..", ".", ""} & set(place.parts)
