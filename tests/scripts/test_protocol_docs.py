"""docs/protocol.md is what the types say today, and leaves nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from protocol import messages
from protocol.commands import ARGUMENTS
from protocol.errors import CloseCode
from scripts import protocol_docs


def test_the_page_is_up_to_date() -> None:
    assert protocol_docs.main(["--check"]) == 0, "run: python -m scripts.protocol_docs"


def test_the_page_names_every_message_member_command_and_close_code() -> None:
    page = protocol_docs.page()
    for kind in {*get_args(messages.MachineMessage), *get_args(messages.HubMessage)}:
        assert f"### `{kind.__struct_config__.tag}`" in page
        assert all(f"| `{member}` |" in page for member in kind.__struct_fields__)
    assert all(f"| `{name}` |" in page for name in ARGUMENTS)
    assert all(f"| {code.value} |" in page for code in CloseCode)


def test_a_stale_page_is_noticed_and_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_docs, "PAGE", tmp_path / "protocol.md")
    assert protocol_docs.main(["--check"]) == 1
    assert protocol_docs.main([]) == 0
    assert protocol_docs.main(["--check"]) == 0
