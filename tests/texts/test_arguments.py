"""Wrong usage and help of a command line: both languages, JSON, the nearest name."""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path

import pytest

from texts.arguments import FOLDER, WRONG_USAGE, Parser
from texts.catalogue import read


def parser(language: str = "en") -> Parser:
    root = Parser(language=language, prog="door", beside=("install",))
    root.add_argument("--data-dir")
    verbs = root.add_subparsers(metavar="VERB", required=True, dest="verb")
    add = verbs.add_parser("add")
    add.add_argument("name")
    add.add_argument("--site")
    add.add_argument("--date")
    add.add_argument("--role", choices=("admin", "viewer"))
    add.add_argument("--uses", type=int)
    add.add_argument("--pair", nargs=2)
    switch = add.add_mutually_exclusive_group()
    switch.add_argument("--on", action="store_true")
    switch.add_argument("--off", action="store_true")
    verbs.add_parser("list")
    return root


def refused(words: str, capsys: pytest.CaptureFixture[str], language: str = "en") -> str:
    with pytest.raises(SystemExit) as ended:
        parser(language).parse_args(words.split())
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (WRONG_USAGE, "")
    return said.err


UNKNOWN = (
    "Error: unrecognized arguments: --sitee X (did you mean --site instead of --sitee?)\nFix: door add --help\n",
    "Kesalahan: argumen tidak dikenal: --sitee X (maksud Anda --site, bukan --sitee?)\nPerbaikan: door add --help\n",
)
MISSING = (
    "arguments are required: name (did you mean --role instead of --rol?)\nFix: door add --help\n",
    "argumen berikut wajib diisi: name (maksud Anda --role, bukan --rol?)\nPerbaikan: door add --help\n",
)
SAID = {
    "add x --sitee X": UNKNOWN,
    "add --rol=admin": MISSING,
    "lst": (
        "(choose from 'add', 'list') (did you mean list",
        "(pilih dari 'add', 'list') (maksud Anda list, bukan lst?)",
    ),
    "--data-dri x list": ("instead of --data-dri?)\nFix: door --help\n", "bukan --data-dri?)\nPerbaikan: door"),
    "add x --role amdin": ("did you mean admin", "maksud Anda admin, bukan amdin?"),
    "instal": ("did you mean install", "maksud Anda install"),
    "--data-dir x install": ("write install first", "tulis install paling depan"),
    "add x --site": ("argument --site: expected one argument", "argumen --site: perlu satu nilai"),
    "add x --pair 1": ("expected 2 arguments", "perlu 2 nilai"),
    "add x --uses two": ("invalid int value: 'two'", "bukan nilai int yang sah: 'two'"),
    "add x --on --off": ("not allowed with argument --on", "tidak boleh bersama argumen --on"),
    "add x --on=1": ("ignored explicit argument '1'", "tidak menerima nilai: '1'"),
}


@pytest.mark.parametrize("words", SAID)
def test_a_refusal_names_the_fix_in_the_readers_language(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    plain = {"choose from add, list": "choose from 'add', 'list'", "pilih dari add, list": "pilih dari 'add', 'list'"}
    for language, wanted in zip(("en", "id"), SAID[words], strict=True):
        said = refused(words, capsys, language)
        for newer, older in plain.items():  # Python 3.12 quotes no choice
            said = said.replace(newer, older)
        assert wanted in said


@pytest.mark.parametrize("words", ["add x --zzz", "add x extra", "add x --uses -1 --zzz", "add -- --sitee extra"])
def test_nothing_is_guessed_where_nothing_is_near(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in refused(words, capsys)


def test_a_verbs_own_flag_is_no_mistyped_one_of_those_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = parser()
    root.parse_args(["add", "x", "--date", "today"])
    with pytest.raises(SystemExit):
        root.error("--date needs --site")
    assert capsys.readouterr().err == "Error: --date needs --site\nFix: door --help\n"
    assert "(did you mean add instead of ad?)\n" in refused("ad x --date today", capsys)


def test_json_is_for_who_asked_for_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["door", "--json"])
    assert json.loads(refused("add x --sitee X", capsys))["error"] == {
        "code": "usage",
        "message": "unrecognized arguments: --sitee X (did you mean --site instead of --sitee?)",
        "hint": "door add --help",
    }


def test_help_has_no_english_heading_for_an_indonesian_reader() -> None:
    english, indonesian = parser("en").format_help(), parser("id").format_help()
    for one, other in (("usage: ", "pemakaian: "), ("options:", "opsi:"), ("show this help", "tampilkan bantuan ini")):
        assert one in english
        assert other not in english
        assert one not in indonesian
        assert other in indonesian


def test_argparse_itself_is_left_as_it_was() -> None:
    parser("id").format_help()
    assert "usage: " in argparse.ArgumentParser(prog="other").format_help()


def test_sentences_are_wrapped_and_columns_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    example = "  run_hub.py --demo --open        see it in a browser of this computer"
    shown = Parser(language="en", prog="door", description="word " * 20, epilog=f"examples:\n{example}").format_help()
    assert f"examples:\n{example}\n" in shown
    assert max(len(line) for line in shown.splitlines() if "word" in line) <= 40


PROGRAMMERS = (
    ".__call__()", "'required' is", "%(prog)s: error", "%r is not callable", "argument \"-\" with mode", "can't open",
    "cannot ", "conflicting ", "dest= ", "invalid conflict", "invalid option string", "mutually exclusive",
    " (default: ", "%(heading)s:", "%(prog)s: warning", "argument '%(argument_name)s' is deprecated",
    "command '%(parser_name)s' is deprecated", "option '%(option)s' is deprecated", "show program's version",
)  # fmt: skip
"""How the sentences begin that no person reads, or of what no door of ours uses (3.13 says more of them)."""


def test_every_sentence_of_argparse_that_people_read_is_in_the_catalogue() -> None:
    calls = [
        node for node in ast.walk(ast.parse(Path(argparse.__file__).read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    said = [one for call in calls if ast.unparse(call.func) in ("_", "ngettext") for one in call.args]
    found = {one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    known = {str(text) for key, text in read(FOLDER, "en").items() if key.startswith("argparse.")}
    assert {text for text in found - known if not text.startswith(PROGRAMMERS)} == set(), "add it to texts/locales"
    assert known - found <= {"subcommands", "argument %(argument_name)s: %(message)s"}, (
        "no argparse from 3.10 on says it"
    )
