"""Asks the hub for a verb of the command line; a refusal, or no hub, ends the verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from device.api_client import ApiClient, ApiError, HubUnreachableError
from device.cli.exit_codes import FAILED, WRONG_USAGE, Complain
from device.settings import AgentSettings
from texts.catalogue import Texts


def answer_of(
    ask: Callable[[ApiClient], dict[str, Any]],
    settings: AgentSettings,
    texts: Texts,
    complain: Complain,
    unreachable: str,
) -> dict[str, Any] | int:
    """The hub's answer, or the exit code. `unreachable`: code and text where no hub answers."""
    client = ApiClient.of(settings)
    try:
        return ask(client)
    except ApiError as refused:
        code = WRONG_USAGE if 400 <= refused.status < 500 else FAILED
        return complain("remote_refused", code, texts("remote_refused", why=refused))
    except HubUnreachableError as away:
        return complain(unreachable, FAILED, texts(unreachable, why=away))
    finally:
        client.close()
