"""The agent speaks of nothing that has no sentence."""

from __future__ import annotations

import ast
from pathlib import Path

from device.texts import texts_in

DEVICE = Path(__file__).parents[2] / "device"


def test_every_code_the_agent_speaks_of_exists() -> None:
    """Calls of log(...), texts(...), why(...) and AgentSettingsError(...) with a literal code."""
    speakers = {"_log", "log", "texts", "why", "_texts", "AgentSettingsError"}
    missing = []
    for path in DEVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            code = node.args[0].value
            if name in speakers and isinstance(code, str) and code not in texts_in("en"):
                missing.append(f"{path.name}:{node.lineno} {code}")
    assert missing == []
