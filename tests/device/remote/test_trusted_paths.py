"""What somebody with less rights could change on the way to a path: folders, links, files, by owner, group and mode."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.remote.service_user import NoUserError
from device.remote.trusted_paths import EVERYBODY, Weak, visitor, weak_command, weak_paths, weak_step
from device.settings import AgentSettings, load
from tests.support import two_users
from tests.support.fake_hub import KEY

pytestmark = two_users.only_root
WHO = two_users.visitor()
OTHER = 54321


@pytest.fixture
def root() -> Iterator[Path]:
    with two_users.reachable_folder() as folder:
        (folder / "way").mkdir()
        (folder / "way" / "file").write_text("x")
        yield folder


def step(path: Path, *, itself: bool = True) -> tuple[str, str, bool] | None:
    weak = weak_step(str(path), WHO, itself=itself)
    return None if weak is None else (weak.step, weak.who, weak.visitor)


def test_what_is_roots_all_the_way_is_safe_below_tmp_as_well(root: Path) -> None:
    assert step(root / "way" / "file") is None
    assert step(root / "way" / "absent") is None


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "who"),
    [
        (WHO.uid, 0, 0o755, (WHO.name, True)),
        (WHO.uid, 0, 0o500, (WHO.name, True)),
        (0, WHO.gid, 0o775, (WHO.name, True)),
        (0, WHO.gid, 0o755, None),
        (0, OTHER, 0o775, None),
        (0, 0, 0o757, (EVERYBODY, True)),
        (OTHER, 0, 0o755, (str(OTHER), False)),
        (0, 0, 0o1777, None),
        (WHO.uid, 0, 0o1755, (WHO.name, True)),
    ],
)
def test_a_folder_on_the_way(root: Path, uid: int, gid: int, mode: int, who: tuple[str, bool] | None) -> None:
    way = root / "way"
    os.chown(way, uid, gid)
    way.chmod(mode)
    assert step(way / "file") == (who and (str(way), *who))
    assert step(way / "file", itself=False) == (who and (str(way), *who))
    assert step(way, itself=False) is None


@pytest.mark.parametrize(
    ("tag", "who", "may", "mask", "found"),
    [
        (2, WHO.uid, 7, 7, True), (8, WHO.gid, 6, 7, True), (2, WHO.uid, 5, 7, False), (2, WHO.uid, 7, 5, False),
        (2, OTHER, 7, 7, False),
    ],
)  # fmt: skip
def test_an_access_control_list_counts(root: Path, tag: int, who: int, may: int, mask: int, found: bool) -> None:
    way, nobody = root / "way", 2**32 - 1
    entries = [(1, 7, nobody), (tag, may, who), (4, 5, nobody), (16, mask, nobody), (32, 5, nobody)]
    entries.sort()
    for place in (way, way / "file"):
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
        try:
            os.setxattr(place, "system.posix_acl_access", acl)
        except OSError:
            pytest.skip("a file system without access control lists")
        assert step(way / "file") == ((str(place), WHO.name, True) if found else None)
        os.removexattr(place, "system.posix_acl_access")


def test_a_sticky_folder_holds_what_is_there_and_not_what_is_not(root: Path) -> None:
    way = root / "way"
    way.chmod(0o1777)
    assert step(way / "absent") == (str(way), EVERYBODY, True)
    os.chown(way / "file", WHO.uid, -1)
    assert step(way / "file") == (str(way / "file"), WHO.name, True)


@pytest.mark.parametrize(("uid", "mode", "who"), [(WHO.uid, 0o400, WHO.name), (0, 0o606, EVERYBODY)])
def test_the_file_itself(root: Path, uid: int, mode: int, who: str) -> None:
    file = root / "way" / "file"
    os.chown(file, uid, -1)
    file.chmod(mode)
    assert step(file) == (str(file), who, True)
    assert step(file, itself=False) is None


def test_links_are_followed_and_every_folder_they_are_looked_up_in_counts(root: Path) -> None:
    with two_users.reachable_folder(WHO.uid) as theirs:
        (theirs / "link").symlink_to(root / "way")
        (root / "through").symlink_to(theirs / "link")
        assert step(root / "through" / "file") == (str(theirs), WHO.name, True)
        (root / "round").symlink_to("round")
        assert step(root / "round" / "x") is None
        (root / "up").symlink_to("way/../way")
        assert step(root / "up" / "file") is None


def test_a_command_is_its_program_and_the_files_it_names(root: Path) -> None:
    script = root / "way" / "file"
    assert weak_command(["sh", str(script), "--port", "5000", "/dev/null"], WHO) is None
    os.chown(root / "way", WHO.uid, -1)
    assert weak_command(["sh", str(script)], WHO) == Weak(str(script), str(root / "way"), WHO.name, True)
    assert weak_command([str(script)], WHO) == Weak(str(script), str(root / "way"), WHO.name, True)
    assert weak_command(["no such program"], WHO) is None


def test_a_file_in_a_line_for_a_shell_counts_and_so_does_a_folder_for_an_interpreter_that_runs_it(root: Path) -> None:
    way, script = root / "way", root / "way" / "file"
    lines = [
        ["sh", "-c", f"sleep 1; exec {script}>/dev/null"], ["sh", "-c", f". '{script}'"], ["cam", f"--config={script}"],
        ["env", f"PYTHONSTARTUP={script}", "python3"], ["python3", "-u", str(way)], ["/usr/bin/python3", str(way)],
    ]  # fmt: skip
    for line in [*lines, ["sh", "-c", "echo 'no end"]]:
        assert weak_command(line, WHO) is None, line
    os.chown(way, WHO.uid, -1)
    for line in lines:
        found = weak_command(line, WHO)
        assert found is not None, line
        assert found.step == str(way)
    assert weak_command(["rvm-camera", "--pictures", str(way)], WHO) is None, "a folder to write into runs nothing"


def settings_in(folder: Path, **values: str) -> AgentSettings:
    config = folder / "machine.json"
    config.write_text("{}")
    key = folder / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    environ = {"RVM_API_TOKEN_FILE": str(key), "RVM_MYRVM_BASE_URL": "https://hub", "RVM_TERMINAL_USER": WHO.name}
    return load(config, environ | values)


def test_a_user_who_could_change_what_root_obeys_is_no_user(root: Path, tmp_path: Path) -> None:
    settings = settings_in(root / "way", RVM_STATE_DIR=str(tmp_path))
    assert visitor(settings).name == WHO.name
    assert weak_paths(settings) == []
    (root / "way" / "key").chmod(0o602)
    with pytest.raises(NoUserError, match=f"everybody may change {root}/way/key"):
        visitor(settings)
    (root / "way" / "key").chmod(0o600)
    os.chown(root / "way", OTHER, -1)
    assert visitor(settings).name == WHO.name, "that one has no lease here; it is only told"
    assert {(weak.who, weak.step) for weak in weak_paths(settings)} == {(str(OTHER), f"{root}/way")}
    os.chown(root / "way", WHO.uid, -1)
    with pytest.raises(NoUserError, match=rf"{WHO.name} may change {root}/way, and the agent obeys \S+ as root"):
        visitor(settings)


def test_an_agent_without_roots_rights_has_nothing_to_lose(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(root / "way")
    settings = replace(settings, values={**settings.values, "terminal_user": ""})
    os.chown(root / "way", WHO.uid, -1)
    monkeypatch.setattr(os, "geteuid", lambda: WHO.uid)
    assert weak_paths(settings) == []
    assert visitor(settings).drop is False
