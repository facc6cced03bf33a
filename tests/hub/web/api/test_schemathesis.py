"""Bar 48: generated requests, good and bad, against a hub on a socket: no 5xx, no status the document does not name."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from hub.links.links import Links
from hub.routes import OPERATIONS
from hub.web.auth.limits import AddressLimiter
from hub.web.auth.passwords import Passwords
from hub.web.auth.state import AuthState
from tests.support.api_hub import QUICK
from tests.support.hub_process import hub_here

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "unsupported_method", "ignored_auth",
)  # fmt: skip
# Signing out would end the very token that asks, and the hub would be left without machines to ask about.
LEFT_OUT = ("sign_out", "sign_out_everywhere", "end_user_sessions", "remove_machine", "rotate_key")
WITHIN_S = 240.0


@pytest.mark.timeout(300)
async def test_generated_requests_meet_only_what_is_documented(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_here(tmp_path) as hub:
        # The check of authentication guesses more often than an address may.
        hub.context[AuthState].wrong_credentials = AddressLimiter(per_minute=1e9, burst=1e9)
        hub.context[AuthState].wrong_sign_ins = AddressLimiter(per_minute=1e9, burst=1e9)
        hub.context[AuthState].passwords = Passwords(QUICK)
        # No machine is there to confirm anything, so waiting for one is only slow.
        really_wait = hub.context[Links].wait_for
        monkeypatch.setattr(hub.context[Links], "wait_for", lambda command_id, _: really_wait(command_id, 0.01))
        await hub.add_machine("Lobby")
        await hub.people.add("technician", (1,))
        code, said = await run(hub.url, hub.admin.token, tmp_path)
    assert code == 0, said
    generated = re.search(r"(\d+) generated", said)
    assert generated is not None, said
    assert int(generated[1]) > 800, said
    tested = re.search(r"Tested: +(\d+)", said)
    assert tested is not None, said
    assert int(tested[1]) == len(OPERATIONS) - len(LEFT_OUT)
    assert "Traceback" not in caplog.text


async def run(url: str, token: str, folder: Path) -> tuple[int, str]:
    """Every phase of schemathesis, as a process of its own (it has no asynchronous face)."""
    arguments = [
        "run", f"{url}/api/v2/openapi.json", "-H", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "12", "--continue-on-failure",
        "--generation-deterministic", "--no-color", "--suppress-health-check", "all",
    ]  # fmt: skip
    for name in LEFT_OUT:
        arguments += ["--exclude-operation-id", name]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
