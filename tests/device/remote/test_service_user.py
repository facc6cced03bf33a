"""Whose shell it is: never root's."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from device.remote.service_user import SHELL, NoUserError, choose


def entry(name: str, uid: int, shell: str = "/bin/sh", home: str = "/") -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, uid, "", home, shell))


def users(*entries: pwd.struct_passwd) -> dict[str, pwd.struct_passwd]:
    return {one.pw_name: one for one in entries}


ROOT, NOBODY = entry("root", 0), entry("nobody", 65534, "/usr/sbin/nologin", "/nonexistent")
SERVICE, CAMERA = entry("myrvm-service", 990), entry("camera", 1001)


@pytest.mark.parametrize(
    ("wanted", "known", "name"),
    [
        ("", (ROOT, NOBODY, SERVICE, CAMERA), "myrvm-service"),
        ("", (ROOT, NOBODY), "nobody"),
        ("camera", (ROOT, NOBODY, SERVICE, CAMERA), "camera"),
    ],
)
def test_root_becomes_somebody_else(wanted: str, known: tuple[pwd.struct_passwd, ...], name: str) -> None:
    user = choose(wanted, 0, users(*known).__getitem__)
    assert user.name == name
    assert user.uid != 0
    assert user.drop


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        ("root", (ROOT, NOBODY)),
        ("toor", (entry("toor", 0), NOBODY)),
        ("ghost", (ROOT, NOBODY)),
        ("", (ROOT,)),
        ("", (ROOT, entry("myrvm-service", 0), NOBODY)),
        ("camera", (ROOT, NOBODY, pwd.struct_passwd(("camera", "x", 1001, 0, "", "/", "/bin/sh")))),
    ],
)
def test_root_is_never_who_it_is(wanted: str, known: tuple[pwd.struct_passwd, ...]) -> None:
    with pytest.raises(NoUserError, match="terminal_user"):
        choose(wanted, 0, users(*known).__getitem__)


def test_an_agent_that_is_not_root_stays_who_it_is() -> None:
    daemon = next(one for one in pwd.getpwall() if one.pw_uid not in (0, os.geteuid()))
    for wanted in ("", daemon.pw_name):
        user = choose(wanted, daemon.pw_uid)
        assert (user.name, user.uid, user.drop) == (daemon.pw_name, daemon.pw_uid, False)
    with pytest.raises(NoUserError, match="cannot become root"):
        choose("root", daemon.pw_uid)


def test_a_user_without_an_entry_is_one_as_well() -> None:
    free = next(uid for uid in range(70_000, 80_000) if uid not in {one.pw_uid for one in pwd.getpwall()})
    user = choose("", free)
    assert (user.uid, user.home, user.shell, user.drop) == (free, "/", SHELL, False)


def test_what_is_no_shell_or_home_is_replaced(tmp_path: Path) -> None:
    for shell in ("/usr/sbin/nologin", "/bin/false", "", "sh", "/no/such/shell"):
        assert choose("x", 0, users(entry("x", 7, shell)).__getitem__).shell == SHELL
    assert choose("x", 0, users(entry("x", 7, "/bin/sh", "/nonexistent")).__getitem__).home == "/"
    assert choose("x", 0, users(entry("x", 7, "/bin/sh", str(tmp_path))).__getitem__).home == str(tmp_path)


def test_roots_group_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [0, gid, 44])
    assert choose("camera", 0, users(CAMERA).__getitem__).groups() == [1001, 44]
