"""`run_hub.py completion SHELL`: its script asked by the shell itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from device.cli.main import main as agent
from hub.cli import parser
from hub.cli.output import Exit
from installer import cli as installer
from tests.doors.conftest import Cli
from texts.completion import MACHINES, SHELLS, tree

ASKED = [
    ("machine s", ["set-status", "show", "sync-timezone"]),
    ("mach", ["machine"]),
    ("user add --role te", ["technician"]),
    ("--port 9000 machine re", ["remove", "renew-key"]),
    ("machine show --", ["--data-dir", "--database-url", "--help", "--json", "--quiet", "--verbose"]),
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
    ("--quiet mach", ["machine"]),
    ("machine list --quiet --j", ["--json"]),
    ("destination add x --quiet 2", []),
]


def script(cli: Cli, folder: Path, shell: str) -> Path:
    said = cli("completion", shell)
    assert (said.code, said.err) == (0, "")
    named = folder / "myrvm-hub"  # the command that the shell asks for the machines' names
    named.write_text(f"""#!/bin/sh
[ "$1 $2" = "completion --names" ] || exit 2
shift 2
echo "$*" >> {folder}/asked
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
source "$1"; COMP_LINE=$2 COMP_POINT=${#2}; shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_${1//[.-]/_}
echo "${COMPREPLY[@]}"
"""
_AS_ZSH = """\
compdef() { : }; compadd() { shift; echo "$@" }
source "$1"; shift 2
words=("$@") CURRENT=$#
_${1//[.-]/_}
"""
_AS_FISH = "source $argv[1]; complete -C $argv[2]"
WORDS = {"bash": r'"[^"]*"|[=:]+|[^\s=:"]+', "zsh": r'(?:"[^"]*"|[^\s"])+', "fish": "x"}
"""How the shell has cut a line when it asks; fish does it itself."""
ASKING = {
    "bash": ("--norc", "-c", _AS_BASH, "bash"),
    "zsh": ("-f", "-c", _AS_ZSH, "zsh"),
    "fish": ("-N", "-c", _AS_FISH),
}


def asked(folder: Path, shell: str, file: Path, line: str) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    words = [*re.findall(WORDS[shell], line), *([""] if line.endswith(" ") else [])]
    found = answered(folder, shell, *ASKING[shell], file, line, *words)
    return [word for word in found if word.startswith(line.rpartition(" ")[2])] if shell == "zsh" else found


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_a_shell_completes_verbs_flags_and_choices(
    cli: Cli, tmp_path: Path, shell: str, typed: str, wanted: list[str]
) -> None:
    assert asked(tmp_path, shell, script(cli, tmp_path, shell), f"myrvm-hub {typed}") == wanted


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("--data-dir /srv/rvm", "--data-dir=/srv/rvm"),
        ("--data-dir=/srv/rvm", "--data-dir=/srv/rvm"),
        ("--data-dir ~/rvm", "--data-dir={home}/rvm"),
        ('--data-dir "/srv/Gambir\'s data"', "--data-dir=/srv/Gambir's data"),
        ("--database-url postgresql://rvm@db:5432/rvm", "--database-url=postgresql://rvm@db:5432/rvm"),
        (
            "--database-url=sqlite:////srv/a.sqlite3 --data-dir /b",
            "--database-url=sqlite:////srv/a.sqlite3 --data-dir=/b",
        ),
    ],
)
def test_machines_are_those_of_the_place_that_was_typed(
    cli: Cli, tmp_path: Path, shell: str, place: str, wanted: str
) -> None:
    file = script(cli, tmp_path, shell)
    for line in (f"{place} machine show R", f"machine show {place} R"):
        (tmp_path / "asked").unlink(missing_ok=True)
        assert asked(tmp_path, shell, file, f"myrvm-hub {line}") == ["RVM-001"]
        assert (tmp_path / "asked").read_text() == wanted.format(home=tmp_path) + "\n"


def test_bash_cuts_a_flag_and_its_value(cli: Cli, tmp_path: Path) -> None:
    file = script(cli, tmp_path, "bash")
    assert asked(tmp_path, "bash", file, "myrvm-hub user add --role=te") == ["technician"]
    assert asked(tmp_path, "bash", file, "myrvm-hub user add --role=") == sorted(parser.ROLES)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("st", ["status"]),
        ("unin", ["uninstall"]),
        ("backup s", ["show", "sources", "start", "status"]),
        ("busy o", ["off", "on"]),
        ("--config machine.json backup start --f", ["--full"]),
        ("install --d", ["--dry-run"]),
        ("completion f", ["fish"]),
    ],
)
def test_the_agents_command_line_is_completed_likewise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str, typed: str, wanted: list[str]
) -> None:
    assert agent(["completion", shell], {}, partial(installer.grammar, "run_device.py")) == 0
    made = capsys.readouterr().out
    assert "machines" not in made, "it knows none"
    (tmp_path / "completion").write_text(made)
    assert asked(tmp_path, shell, tmp_path / "completion", f"myrvm-agent {typed}") == wanted


_TWICE = """\
source "$1"
COMP_LINE="myrvm-hub machine show R" COMP_POINT=24 COMP_WORDS=($COMP_LINE) COMP_CWORD=3
_myrvm_hub; _myrvm_hub
SECONDS=100
_myrvm_hub
"""


def test_the_machines_are_read_once_a_minute(cli: Cli, tmp_path: Path) -> None:
    assert answered(tmp_path, "bash", "--norc", "-c", _TWICE, "bash", script(cli, tmp_path, "bash")) == []
    assert (tmp_path / "asked").read_text() == "\n\n"


def test_the_words_of_machines_do_nothing_in_a_shell_and_nothing_is_written(cli: Cli, here: list[object]) -> None:
    assert cli("completion", "--names", *here).out == "", "there is no data yet"
    assert not list(Path(str(here[1])).glob("*.sqlite3")), "and none is made"
    evil = "$(touch /tmp/x) `id` *"
    for name, device_id in (("RVM-001", "gambir-1"), (evil, "dev-2"), ("RVM 3; id", "dev:3")):
        cli("machine", "add", name, "--device-id", device_id, *here)
    assert cli("completion", "--names", *here).out.split() == ["RVM-001", "gambir-1", "dev-2"]


def test_each_verb_is_known_with_its_flags() -> None:
    found = {one.verb: one for one in tree(parser.build())}
    assert {"", "machine", "machine show", "config show", "link", "completion"} <= found.keys()
    for verb, one in found.items():
        for name in set(one.names) - {MACHINES}:
            assert f"{verb} {name}".strip() in found or verb in ("trouble snooze", "machine set-status", "completion")
        assert one.values.keys() <= set(one.flags)
    assert found["user add"].values["--role"] == list(parser.ROLES)
    assert found["config show"].values["--port"] == []


def test_another_shell_is_refused_with_those_there_are(cli: Cli) -> None:
    said = cli("completion", "powershell")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "bash, zsh, fish" in said.err.replace("'", "")
