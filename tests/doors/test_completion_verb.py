"""`run_hub.py completion SHELL`: its script asked by the shell itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hub.cli import parser
from hub.cli.output import Exit
from tests.doors.conftest import Cli

ASKED = [
    ("machine s", ["set-status", "show", "sync-timezone"]),
    ("mach", ["machine"]),
    ("user add --role te", ["technician"]),
    ("--port 9000 machine re", ["remove", "renew-key"]),
    ("machine show --", ["--data-dir", "--database-url", "--help", "--json"]),
    ("machine set-status RVM-001 ma", ["maintenance"]),
    ("trouble snooze 12 t", ["tomorrow"]),
    ("completion ", ["bash", "fish", "zsh"]),
    ("machine paint x", []),
    ("un", ["uninstall"]),
    ("uninstall --p", ["--purge"]),
    ("bundle --circle d", ["device"]),
    ("machine backup R", ["RVM-001"]),
    ("machine set-status ", sorted(["RVM-001", "dev-2", *parser.STATUSES])),
    ("machine show dev-", ["dev-2"]),
    ("trouble list --machine RVM", ["RVM-001"]),
    ("user edit a@example.com --machine dev", ["dev-2"]),
]


def script(cli: Cli, folder: Path, shell: str) -> Path:
    said = cli("completion", shell)
    assert (said.code, said.err) == (0, "")
    named = folder / "myrvm-hub"  # the command that the shell asks for the machines' names
    named.write_text(f"""#!/bin/sh
[ "$*" = "completion --names" ] || exit 2
echo x >> {folder}/asked
echo RVM-001; echo dev-2
""")
    named.chmod(0o755)
    file = folder / f"completion.{shell}"
    file.write_text(said.out)
    return file


def answered(folder: Path, *words: object) -> list[str]:
    """By a shell in an empty folder, in which no file can be an answer."""
    (folder / "empty").mkdir(exist_ok=True)
    command = [str(word) for word in words]
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder / "empty", env=environ)
    assert done.stderr == ""
    return sorted(done.stdout.split())


_AS_BASH = """\
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_myrvm_hub
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_bash_completes_verbs_flags_and_choices(cli: Cli, tmp_path: Path, typed: str, wanted: list[str]) -> None:
    words = ["myrvm-hub", *typed.split(" ")]
    file = script(cli, tmp_path, "bash")
    assert answered(tmp_path, "bash", "--norc", "-c", _AS_BASH, "bash", file, *words) == wanted


_AS_ZSH = """\
compdef() { : }; compadd() { shift; echo "$@" }
source "$1"; shift
words=("$@") CURRENT=$#
_myrvm_hub
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_zsh_is_given_the_same_words(cli: Cli, tmp_path: Path, typed: str, wanted: list[str]) -> None:
    file = script(cli, tmp_path, "zsh")
    found = answered(tmp_path, "zsh", "-f", "-c", _AS_ZSH, "zsh", file, "myrvm-hub", *typed.split(" "))
    assert [word for word in found if word.startswith(typed.rpartition(" ")[2])] == wanted


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_fish_completes_the_same(cli: Cli, tmp_path: Path, typed: str, wanted: list[str]) -> None:
    file = script(cli, tmp_path, "fish")
    asked = f"source {file}; complete -C 'myrvm-hub {typed}'"
    assert answered(tmp_path, "fish", "-N", "-c", asked) == wanted


_TWICE = """\
source "$1"
for name in first again; do COMP_WORDS=(myrvm-hub machine show R) COMP_CWORD=3; _myrvm_hub; done
SECONDS=100
_myrvm_hub
"""


def test_the_machines_are_read_once_a_minute(cli: Cli, tmp_path: Path) -> None:
    assert answered(tmp_path, "bash", "--norc", "-c", _TWICE, "bash", script(cli, tmp_path, "bash")) == []
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_the_words_of_machines_do_nothing_in_a_shell_and_nothing_is_written(cli: Cli, here: list[object]) -> None:
    assert cli("completion", "--names", *here).out == "", "there is no data yet"
    assert not list(Path(str(here[1])).glob("*.sqlite3")), "and none is made"
    evil = "$(touch /tmp/x) `id` *"
    for name, device_id in (("RVM-001", "gambir-1"), (evil, "dev-2"), ("RVM 3; id", "dev:3")):
        cli("machine", "add", name, "--device-id", device_id, *here)
    assert cli("completion", "--names", *here).out.split() == ["RVM-001", "gambir-1", "dev-2"]


def test_each_verb_is_known_with_its_flags() -> None:
    tree = {one.verb: one for one in parser.tree(parser.build())}
    assert {"", "machine", "machine show", "config show", "link", "completion"} <= tree.keys()
    for verb, one in tree.items():
        for name in set(one.names) - {parser.MACHINES}:
            assert f"{verb} {name}".strip() in tree or verb in ("trouble snooze", "machine set-status", "completion")
        assert one.values.keys() <= set(one.flags)
    assert tree["user add"].values["--role"] == list(parser.ROLES)
    assert tree["config show"].values["--port"] == []


def test_another_shell_is_refused_with_those_there_are(cli: Cli) -> None:
    said = cli("completion", "powershell")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "'bash', 'zsh', 'fish'" in said.err
