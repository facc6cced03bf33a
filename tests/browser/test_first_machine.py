"""Adding a machine: the page's own block is pasted into a shell, and the page follows the agent that it starts."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.device.agent_process import ROOT
from tests.support.browser import tab


async def test_the_block_that_is_shown_connects_the_machine(stage: Stage, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "run_device.py").symlink_to(ROOT / "run_device.py")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
    environ |= {"PATH": f"{programs}:{environ['PATH']}", "RVM_BOOTSTRAP": "off"}
    environ["RVM_STATE_DIR"] = str(tmp_path / "state")
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/add")
        await page.page.fill("#name", "RVM-900")
        await page.page.click("main form button")
        await expect(page.page.locator("#waiting")).to_contain_text("Waiting for the machine")
        block = await page.page.locator("#command").inner_text()
        with (tmp_path / "log").open("wb") as log:
            shell = await asyncio.create_subprocess_exec(
                "bash", "-c", block, cwd=tmp_path, env=environ, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            await expect(page.page.locator("#waiting")).to_contain_text("Receiving data", timeout=60_000)
        finally:
            os.killpg(shell.pid, 15)
            await shell.wait()
    assert stat.S_IMODE((tmp_path / "rvm.json").stat().st_mode) == 0o600
    said = (tmp_path / "log").read_text()
    assert "checks failed" in said or "Everything is ready." in said, "the doctor came first"
