"""`machine renew-key` where no hub runs; with one: tests/end_to_end/test_key_renewal.py."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db.queries import commands
from hub.cli import machine_commands, machines
from hub.cli.data import open_data, settings_of
from hub.cli.output import CliError, Exit
from hub.commands import rules as command_rules


async def test_without_a_hub_nothing_is_left_that_a_later_one_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_rules, "IMMEDIATE_LIFETIME", timedelta(seconds=0.1))
    monkeypatch.setattr(machine_commands, "ENDED_WITHIN", timedelta(0))
    given: dict[str, Any] = {"data_dir": str(tmp_path), "json": True}
    await machines.add(Namespace(name="rvm-1", device_id="rvm-1", location=None, **given))
    key = json.loads(capsys.readouterr().out)["api_key"]
    with pytest.raises(CliError) as refused:
        await machine_commands.renew_key(Namespace(machine="rvm-1", **given))
    assert (refused.value.code, refused.value.exit_code) == ("renewal_cancelled", Exit.UNREACHABLE)
    async with open_data(settings_of(Namespace(**given)), create=False) as opened:
        assert await commands.pending_commands(opened.store) == []
        row = await machines.named(opened, "rvm-1")
    assert key.startswith(row.api_key_prefix)
