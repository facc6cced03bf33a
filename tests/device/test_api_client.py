"""REST with the machine's key: what is asked, what comes back, what is tried again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from device.api_client import ApiClient, ApiError, HubUnreachableError
from device.settings import load as settings_of

KEY = "rvmk_ABCDEFGH_0123456789"


class Hub:
    """Answers from a list; remembers what was asked and how long was slept."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, rvm_id: int | str = "rvm 1") -> ApiClient:
        transport = httpx.MockTransport(self)
        return ApiClient("https://hub.test/", KEY, rvm_id, transport=transport, sleep=self.slept.append)


OK = httpx.Response(200, json={"success": True, "data": {"status": "full"}})


def test_status_is_read_and_declared() -> None:
    hub = Hub(OK)
    client = hub.client()
    assert client.get_status() == {"status": "full"}
    assert client.update_status("full", capacity=100, reason="bin") == {"status": "full"}
    client.update_status(special_status=None, until="2026-11-23T14:00:00Z")
    get, patch, _, ended = hub.asked
    assert ended.content == b'{"status":"full","special_status":null,"until":"2026-11-23T14:00:00Z"}'
    assert str(get.url) == "https://hub.test/api/v2/rvms/rvm%201/status"
    assert get.headers["Authorization"] == f"Bearer {KEY}"
    assert (patch.method, patch.content) == ("PATCH", b'{"status":"full","capacity":100,"reason":"bin"}')


def test_samples_are_posted_as_a_list() -> None:
    hub = Hub(httpx.Response(201, json={"success": True, "data": {}}))
    hub.client(7).upload_metrics([{"seq": 1, "boot_id": "b", "cpu_usage": 5.0}])
    assert hub.asked[0].url.path == "/api/v2/rvms/7/metrics"
    assert hub.asked[0].content == b'[{"seq":1,"boot_id":"b","cpu_usage":5.0}]'


@pytest.mark.parametrize("trouble", [httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.Response(503)])
def test_passing_trouble_is_tried_again_with_growing_pauses(trouble: httpx.Response | Exception) -> None:
    hub = Hub(trouble, trouble, OK)
    assert hub.client().get_status() == {"status": "full"}
    assert hub.slept == [2.0, 4.0]


def test_retry_after_is_obeyed_within_reason() -> None:
    hub = Hub(
        httpx.Response(429, headers={"Retry-After": "30"}), httpx.Response(429, headers={"Retry-After": "9999"}), OK
    )
    hub.client().get_status()
    assert hub.slept == [30, 60]


def test_the_attempts_end() -> None:
    hub = Hub(httpx.ConnectError("no route"))
    with pytest.raises(HubUnreachableError, match="no route"):
        hub.client().get_status()
    assert len(hub.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 302])
def test_a_refusal_is_final_and_carries_the_hubs_sentence(status: int) -> None:
    hub = Hub(httpx.Response(status, json={"message": "because"}, headers={"Location": "https://evil.test/"}))
    with pytest.raises(ApiError, match="because") as refused:
        hub.client().get_status()
    assert refused.value.status == status
    assert len(hub.asked) == 1, "not repeated, and no redirect followed with our key"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"'])
def test_an_answer_that_is_not_the_hubs_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError):
        Hub(httpx.Response(200, content=body)).client().get_status()


def test_alive_means_it_answers() -> None:
    assert Hub(OK).client().is_alive()
    assert not Hub(httpx.ConnectError("no")).client().is_alive()
    assert not Hub(httpx.Response(404)).client().is_alive()
    assert not Hub(httpx.Response(200, text="<h1>Welcome to our hotspot</h1>")).client().is_alive()


@pytest.mark.parametrize(("header", "year"), [({"Date": "Mon, 23 Nov 2026 09:00:00 GMT"}, 2026), ({}, None)])
def test_the_hubs_clock(header: dict[str, str], year: int | None) -> None:
    client = Hub(httpx.Response(200, headers=header, json={"success": True})).client()
    try:
        found = client.hub_time()
        assert (found.year if found else None) == year
    finally:
        client.close()


def test_an_agent_whose_websocket_works_never_loads_httpx() -> None:
    check = "import sys, device.agent, device.cli.main; sys.exit('httpx' in sys.modules or 'psutil' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0


def test_the_agents_client_is_made_of_its_settings() -> None:
    given = {
        "RVM_MYRVM_BASE_URL": "https://hub.test", "RVM_API_TOKEN": KEY, "RVM_CONNECTION_TIMEOUT": "9",
        "RVM_RETRY_ATTEMPTS": "5", "RVM_RETRY_DELAY": "1.5",
    }  # fmt: skip
    settings = settings_of(None, given)
    made = vars(ApiClient.of(settings))
    assert [made[f"_{name}"] for name in ("base_url", "api_token")] == ["https://hub.test", KEY]
    assert [made[f"_{name}"] for name in ("timeout", "attempts", "retry_delay")] == [9, 5, 1.5]
    once = vars(ApiClient.of(settings, timeout=2, attempts=1))
    assert [once[f"_{name}"] for name in ("timeout", "attempts", "retry_delay")] == [2, 1, 1.5]
