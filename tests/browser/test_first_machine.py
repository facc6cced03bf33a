"""Adding a machine: the page's own block is pasted into a shell, and the page follows the agent that it starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.device.agent_process import ROOT
from tests.support.browser import tab


def board(folder: Path) -> dict[str, str]:
    """The environment of a shell in `folder`, where the pages' commands find what they name."""
    programs = folder / "bin"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "run_device.py").symlink_to(ROOT / "run_device.py")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
    environ |= {"PATH": f"{programs}:{environ['PATH']}", "RVM_BOOTSTRAP": "off"}
    return environ | {"RVM_STATE_DIR": str(folder / "state")}


@contextlib.asynccontextmanager
async def pasted(block: str, folder: Path, environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A shell that runs the block; ended with all that it started."""
    with (folder / "log").open("ab") as log:
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", block, cwd=folder, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield shell
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, 15)
        await shell.wait()


async def test_the_block_that_is_shown_connects_the_machine(stage: Stage, tmp_path: Path) -> None:
    environ = board(tmp_path)
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/machines/add")
        await page.page.fill("#name", "RVM-900")
        await page.page.get_by_role("button", name="By hand, without a code").click()
        await expect(page.page.locator("#waiting")).to_contain_text("Waiting for the machine")
        async with pasted(await page.page.locator("#command").inner_text(), tmp_path, environ):
            await expect(page.page.locator("#waiting")).to_contain_text("Receiving data", timeout=60_000)
    assert stat.S_IMODE((tmp_path / "rvm.json").stat().st_mode) == 0o600
    written = (tmp_path / "log").read_text()
    assert "checks failed" in written or "Everything is ready." in written, "the doctor came first"


async def test_the_code_that_is_shown_brings_the_machine_in_and_two_pages_follow(stage: Stage, tmp_path: Path) -> None:
    environ = board(tmp_path)
    async with tab(stage.browser, stage.hub) as page, tab(stage.browser, stage.hub, timezone_id="Etc/UTC") as room:
        await room.open("/admin/enrol")
        await room.live()
        await page.open("/machines/add")
        await page.page.fill("#name", "RVM-901")
        await page.page.keyboard.press("Enter")
        await page.live()
        steps = page.page.locator("#enrol-steps")
        await expect(steps).to_contain_text("Waiting for the machine")
        async with pasted(await page.page.locator("#command").inner_text(), tmp_path, environ) as shell:
            await expect(steps.locator("b")).to_be_visible(timeout=60_000)
            fingerprint = await steps.locator("b").inner_text()
            await expect(room.page.locator("#enrol-lists")).to_contain_text(fingerprint)
            await steps.get_by_role("button", name="Approve").click()
            assert await asyncio.wait_for(shell.wait(), 60) == 0
        assert fingerprint in (tmp_path / "log").read_text()
        start = await steps.locator("pre").inner_text()
        assert stat.S_IMODE((tmp_path / start.split()[-1]).stat().st_mode) == 0o600
        async with pasted(start, tmp_path, environ):
            await expect(steps).to_contain_text("Receiving data", timeout=60_000)
        await expect(room.page.locator("#enrol-lists")).to_contain_text("RVM-901")
        assert page.faults == room.faults == []
