"""Looks up where this machine is: a small answer of the first address with a good one. Blocks. Limits of time and
bytes; no redirect, no proxy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from device.kernel import tls
from device.kernel.tasks import within
from device.timezone.rules import MAX_ANSWER_BYTES, FoundZone, NoAnswerError, read_answer
from protocol.version import PRODUCT_VERSION

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 10.0
_HEADERS: Final = {
    "User-Agent": f"myrvm-agent/{PRODUCT_VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


def look_up(urls: Sequence[str], timeout: float = TIMEOUT_S) -> FoundZone:
    # A loop of its own inside the thread: only a cancelled task ends an answer whose headers drip byte by byte.
    return asyncio.run(_first(urls, timeout))


async def _first(urls: Sequence[str], timeout: float) -> FoundZone:
    reasons = []
    for url in urls:
        found = await _ask(url, timeout)
        if isinstance(found, FoundZone):
            return found
        reasons.append(f"{_shown(url)}: {found}")
    raise NoAnswerError(*(reasons or ["no address to ask"]))


async def _ask(url: str, timeout: float) -> FoundZone | str:
    try:
        return read_answer(await within(timeout, _answer(url, timeout)))
    except NoAnswerError as none:
        return str(none)
    except (TimeoutError, asyncio.TimeoutError):
        return f"no answer within {timeout:g} s"
    except Exception as odd:  # noqa: BLE001 - the named boundary: a foreign client over hostile input
        return type(odd).__name__


async def _answer(url: str, timeout: float) -> bytes:
    """Undecoded; raises NoAnswerError."""
    import httpx

    trust = tls.context() if url.startswith("https:") else True
    options: dict[str, Any] = {"trust_env": False, "follow_redirects": False, "timeout": timeout, "verify": trust}
    try:
        async with (
            httpx.AsyncClient(headers=_HEADERS, **options) as client,
            client.stream("GET", url) as response,
        ):
            return await _body(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
        why = str(failed).splitlines()[0][:150] if str(failed) else type(failed).__name__
        raise NoAnswerError(why) from failed


async def _body(response: httpx.Response) -> bytes:
    if response.is_redirect:
        raise NoAnswerError(f"HTTP {response.status_code}; redirects are not followed")
    if response.status_code != 200:
        raise NoAnswerError(f"HTTP {response.status_code}")
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswerError(f"the answer is longer than {MAX_ANSWER_BYTES // 1024} KiB")
    return body


def _shown(url: str) -> str:
    """The address as it may be shown: without path, query and user, where a key could stand."""
    scheme, _, rest = url.partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}"
