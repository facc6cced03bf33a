"""`run_hub.py machine ...` as a process beside a hub that runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from typing import Any

from tests.support.hub_process import ROOT, Hub


async def command_line(hub: Hub, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the object it prints."""
    process = await begun(hub, *words, "--json")
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out or errors)


async def begun(hub: Hub, *words: str) -> asyncio.subprocess.Process:
    where = ["--data-dir", str(hub.settings.data_dir), "--database-url", hub.settings.database_url]
    return await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run_hub.py"), "machine", *words, *where,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RVM_BOOTSTRAP": "off", "RVM_LANG": "en"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored below a shell's background job
    )  # fmt: skip
