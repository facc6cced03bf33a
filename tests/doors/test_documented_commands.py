"""Every command line that a page or a sentence shows is one that its door takes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs import words as certs
from device.cli import main as agent
from device.texts import texts_in
from hub.cli import parser as hub
from installer import cli as installer

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
CATALOGUES = [
    *ROOT.glob("hub/cli/locales/*.json"),
    *ROOT.glob("device/locales/*.json"),
    *ROOT.glob("certs/locales/*.json"),
]
COMMAND = (
    r"(?:sudo )?(?:RVM_\w+=\S+ )*(?:python3? |\.venv/bin/python )?"
    r"(run_hub\.py|run_device\.py|myrvm-hub|myrvm-agent|-m certs)"
)
LINE = re.compile(rf"^\s*{COMMAND}(?= |$)(.*)$", re.MULTILINE)
SPAN = re.compile(rf"`{COMMAND}(?= [a-z-]|`)([^`]*)`")
COMMENT = re.compile(r"\s{2,}|\s*←|\s#|\s[|<>]|…|;")
HUB, AGENT, CERTS = ("run_hub.py", "myrvm-hub"), ("run_device.py", "myrvm-agent"), "-m certs"


def shown(text: str) -> Iterator[tuple[str, str, bool]]:
    """Door, arguments without the comment behind them, and whether all of them are there: in a line of its own."""
    blocks = "\n".join(re.findall(r"```.*?\n(.*?)```", text, re.DOTALL))
    for found in LINE.finditer(blocks):
        yield found[1], COMMENT.split(found[2].rstrip(), maxsplit=1)[0], True
    for found in SPAN.finditer(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield found[1], COMMENT.split(found[2].rstrip(), maxsplit=1)[0], False


def refusal(door: str, arguments: str) -> int | str | None:
    """The exit code with which the door ends when it reads them."""
    try:
        take(door, arguments)
    except SystemExit as ended:
        return ended.code
    return 0


def take(door: str, arguments: str) -> None:
    words = shlex.split(re.sub(r"[\[\]]|\.\.\.|\$\([^)]*\)", "", arguments))
    if door == CERTS:
        certs.read(words or ["--help"])
    elif words[:1] and words[0] in installer.HUB_VERBS:
        installer.grammar("run_hub.py" if door in HUB else "run_device.py").parse_args(words)
    elif door in HUB:
        hub.read(words)
    else:
        agent._parser(texts_in("en")).parse_args(words)


def refusals(text: str, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    for door, arguments, is_whole in shown(text):
        if refusal(door, arguments):
            said = capsys.readouterr().err
            if is_whole or not re.search("are required|is required|expected (one|at least)", said):
                yield f"{door}{arguments}: {said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_no_command_that_would_be_refused(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(refusals(page.read_text("utf-8"), capsys)) == []


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: "/".join(path.parts[-3:]))
def test_the_examples_of_help_are_taken(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [text for key, text in json.loads(catalogue.read_text("utf-8")).items() if "examples" in key]
    lines = "\n".join(examples).replace("echo 'ntfys://TOPIC' | ", "")
    found = list(shown(f"```\n{lines}\n```"))
    assert len(found) >= (2 if "device" in str(catalogue) else 1)
    assert list(refusals(f"```\n{lines}\n```", capsys)) == []
