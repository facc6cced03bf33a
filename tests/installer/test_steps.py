"""Each step tells whether it is done, does it whole, and can be done again."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from installer import plan, steps
from installer.steps import InstallError, Step, carry_out

ME = (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)


def do(*planned: Step, dry_run: bool = False) -> list[str]:
    found: list[Step] = []
    count = carry_out(planned, found.append, dry_run=dry_run)
    assert count == len(found)
    return [step.key for step in found]


def test_a_file_is_written_once_and_again_when_somebody_changed_it(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    step = steps.file(path, b"one", 0o640, ME)
    assert do(step, dry_run=True) == ["step.file"]
    assert not path.exists()
    assert do(step) == ["step.file"]
    assert (path.read_bytes(), path.stat().st_mode & 0o777, do(step)) == (b"one", 0o640, [])
    path.chmod(0o644)
    assert do(step) == ["step.file"]
    path.write_bytes(b"two")
    assert do(step, step) == ["step.file"]


def test_a_file_does_not_follow_a_link_that_lies_in_its_place(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"theirs")
    for name in ("settings", ".settings.new"):
        (tmp_path / name).symlink_to(foreign)
    assert do(steps.file(tmp_path / "settings", b"ours", 0o600, ME)) == ["step.file"]
    assert foreign.read_bytes() == b"theirs"
    assert not (tmp_path / "settings").is_symlink()


def test_what_a_link_among_the_settings_leads_to_keeps_its_rights(tmp_path: Path) -> None:
    """An authority of the whole system may be linked there: to close it would break everybody else's TLS."""
    system = tmp_path / "system.pem"
    system.touch(0o644)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hub_ca.pem").symlink_to(system)
    (tmp_path / "etc/machine.json").touch(0o644)
    kept = plan.kept_settings(replace(plan.AGENT, settings=tmp_path / "etc", user=ME[0]))
    assert do(*kept) == ["step.rights"]
    assert stat.S_IMODE(system.stat().st_mode) == 0o644
    assert do(*kept) == []


def test_a_link_is_exchanged_and_what_a_killed_one_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".current.new").symlink_to("half")
    for target in ("releases/1", "releases/2"):
        assert do(steps.link(tmp_path / "current", target)) == ["step.link"]
        assert steps.read_link(tmp_path / "current") == target
    assert do(steps.link(tmp_path / "current", "releases/2")) == []


def test_folders_and_what_has_to_go(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert do(steps.folder(path, 0o750, ME)) == ["step.folder"]
    assert (path.stat().st_mode & 0o777, do(steps.folder(path, 0o750, ME))) == (0o750, [])
    (path / "file").touch()
    (tmp_path / "link").symlink_to(path)
    assert do(steps.gone(tmp_path / "link"), steps.gone(tmp_path / "nowhere")) == ["step.gone"]
    assert (path / "file").exists()
    assert do(steps.gone(tmp_path / "a")) == ["step.gone"]
    assert not path.exists()


def test_an_owner_who_is_not_there_yet_is_no_hindrance_to_a_dry_run(tmp_path: Path) -> None:
    step = steps.folder(tmp_path, 0o700, ("myrvm-nobody-of-that-name", "root"))
    assert do(step, dry_run=True) == ["step.folder"]


def test_a_user_who_may_become_root_is_refused() -> None:
    with pytest.raises(InstallError) as refused:
        do(steps.user("root", Path("/root")), dry_run=True)
    assert (refused.value.code, refused.value.exit_code) == ("user_is_root", 3)


def test_a_command_that_fails_or_is_not_there_says_so() -> None:
    with pytest.raises(InstallError) as failed:
        steps.run("sh", "-c", "echo because; exit 3")
    assert (failed.value.code, "because" in str(failed.value.values["detail"])) == ("command_failed", True)
    with pytest.raises(InstallError) as missing:
        steps.run("no-such-program-of-ours")
    assert missing.value.code == "no_command"
    with pytest.raises(InstallError) as slow:
        steps.attempt("sleep", "9", timeout=0.01)
    assert slow.value.code == "command_slow"
