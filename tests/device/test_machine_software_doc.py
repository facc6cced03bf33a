"""docs/machine_software.md is held to what the product does: its commands run, its Python finds what it names."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest

from device.cli.main import main
from tests.support.fake_hub import KEY

TEXT = (Path(__file__).parents[2] / "docs" / "machine_software.md").read_text()
COMMANDS = [line.partition("#")[0].strip() for line in TEXT.splitlines() if line.startswith("run_device.py ")]
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY, "retry_attempts": 1}))
    assert len(COMMANDS) == 14
    for command in COMMANDS:
        asks_the_hub = command.startswith(("run_device.py remote", "run_device.py backup st"))  # and there is none here
        assert main([*shlex.split(command)[1:], "--config", str(file)], {}) == asks_the_hub, command


@pytest.mark.parametrize("block", BLOCKS)
def test_the_python_of_the_page_names_what_is_there(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_mailbox_of_the_page_takes_its_declaration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine.json").write_text(json.dumps({"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY}))
    monkeypatch.chdir(tmp_path)
    block = next(block for block in BLOCKS if "StatusMailbox" in block)
    exec(compile(block, "machine_software.md", "exec"), {})
    assert list((tmp_path / "machine.json.state" / "requests").iterdir())
