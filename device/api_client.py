"""Calls the hub's REST endpoints with the machine's key. Blocks. httpx is loaded at the first call."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from device.kernel import tls
from device.settings import AgentSettings
from device.status.rules import KEEP, Kept
from protocol.enrolment import EnrolmentRequest

if TYPE_CHECKING:
    import httpx

RETRY_STATUSES: Final = frozenset({429, 502, 503, 504})
MAX_RETRY_AFTER_S: Final = 60.0


class ApiError(Exception):
    """The hub's refusal: HTTP `status`, its sentence, and its code where cases differ."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
        self.code = code


class NoHubError(ApiError):
    """Somebody answered who is no hub: a page, or the way to another address."""


class HubUnreachableError(Exception): ...


class ApiClient:
    """`rvm_id`: the machine's number or device_id. Every call may block for attempts x timeout seconds."""

    def __init__(
        self,
        base_url: str,
        api_token: str,
        rvm_id: int | str,
        *,
        timeout: float = 30.0,
        attempts: int = 3,
        retry_delay: float = 2.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        tls_context: Callable[[], ssl.SSLContext] = tls.context,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_token = api_token
        self._machine = f"/api/v2/rvms/{quote(str(rvm_id), safe='')}"
        self._timeout = timeout
        self._attempts = attempts
        self._retry_delay = retry_delay
        self._transport = transport
        self._sleep = sleep
        self._tls_context = tls_context
        self._client: httpx.Client | None = None

    @classmethod
    def of(cls, settings: AgentSettings, *, timeout: float | None = None, attempts: int | None = None) -> ApiClient:
        return cls(
            settings.base_url,
            settings.api_token,
            settings.device_id,
            timeout=settings.number("connection_timeout") if timeout is None else timeout,
            attempts=int(settings.number("retry_attempts")) if attempts is None else attempts,
            retry_delay=settings.number("retry_delay"),
            tls_context=settings.hub_trust.context,
        )

    def get_status(self) -> dict[str, Any]:
        return self._data(self._request("GET", f"{self._machine}/status"))

    def update_status(
        self,
        status: str | None = None,
        *,
        capacity: int | None = None,
        special_status: str | Kept | None = KEEP,
        reason: str | Kept | None = KEEP,
        until: str | Kept | None = KEEP,
    ) -> dict[str, Any]:
        """Declare the machine's status; returns what the hub has now. What is not given stays; None ends a special
        status, a reason or an `until`. Raises ApiError (422: no such status, 409: it may not be that now)."""
        body: dict[str, Any] = {
            "status": self.get_status().get("status", KEEP) if status is None else status,
            "capacity": KEEP if capacity is None else capacity,
            "special_status": special_status,
            "reason": reason,
            "until": until,
        }
        given = {name: value for name, value in body.items() if not isinstance(value, Kept)}
        return self._data(self._request("PATCH", f"{self._machine}/status", given))

    def upload_metrics(self, samples: Sequence[Mapping[str, Any]]) -> None:
        """Each has `boot_id` and `seq`; they are committed on return."""
        self._request("POST", f"{self._machine}/metrics", list(samples))

    def start_remote_access(
        self, *, admin_id: int | None = None, reason: str | None = None, duration: float | None = None
    ) -> dict[str, Any]:
        """Record a session begun on site: maintenance until it is stopped or `duration` seconds have passed. Never
        retried. Raises ApiError."""
        body = {"admin_id": admin_id, "reason": reason, "duration": duration}
        given = {name: value for name, value in body.items() if value is not None}
        return self._data(self._request("POST", f"{self._machine}/remote-access/start", given, attempts=1))

    def stop_remote_access(self, *, session_id: int | None = None, reason: str | None = None) -> dict[str, Any]:
        """The only one when none is named; the previous status returns. Raises ApiError."""
        body = {"session_id": session_id, "reason": reason}
        given = {name: value for name, value in body.items() if value is not None}
        return self._data(self._request("POST", f"{self._machine}/remote-access/stop", given))

    def remote_access_status(self) -> dict[str, Any]:
        return self._data(self._request("GET", f"{self._machine}/remote-access/status"))

    def start_backup(self, backup_type: str = "incremental") -> dict[str, Any]:
        """Ask the hub to back this machine up; returns the backup's number and the command. Never retried: a
        repetition would be refused. Raises ApiError (409: one is open, or backups are off)."""
        body = {"backup_type": backup_type}
        return self._data(self._request("POST", f"{self._machine}/backup/start", body, attempts=1))

    def backup_status(self) -> dict[str, Any]:
        """The newest of this machine; all None when there is none."""
        return self._data(self._request("GET", f"{self._machine}/backup/status"))

    def enrol(self, request: EnrolmentRequest) -> dict[str, Any]:
        """Ask for a place in the fleet, or how that stands; without a key. Raises ApiError (403: the code lets nobody
        in)."""
        return self._data(self._request("POST", "/api/v2/enrol", msgspec.to_builtins(request)))

    def is_alive(self) -> bool:
        """By plain HTTP; one attempt."""
        try:
            return _is_hub(self._request("GET", "/api/health", attempts=1))
        except (ApiError, HubUnreachableError):
            return False

    def machine(self) -> dict[str, Any]:
        """All the hub knows of this machine."""
        return self._data(self._request("GET", self._machine))

    def hub_time(self) -> datetime | None:
        """Of the hub's `Date` header (whole seconds); None without one. Raises NoHubError too."""
        try:
            response = self._request("GET", "/api/health", attempts=1)
        except ApiError as refused:
            if not 300 <= refused.status < 400:
                raise
            raise NoHubError(refused.status, str(refused)) from refused
        if not _is_hub(response):
            raise NoHubError(response.status_code, "the answer is not the hub's")
        try:
            return parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return None

    def use_key(self, api_token: str) -> None:
        """For each request from now on."""
        self._api_token = api_token

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _request(self, method: str, path: str, body: object = None, *, attempts: int | None = None) -> httpx.Response:
        """Retried unless `attempts=1`. Raises ApiError, HubUnreachableError."""
        import httpx

        left = attempts or self._attempts
        delay = self._retry_delay
        while True:
            left -= 1
            why: Exception
            try:
                response = self._opened().request(method, self._base_url + path, json=body, headers=self._credential())
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                why = HubUnreachableError(str(error) or type(error).__name__)
            else:
                if response.is_success:
                    return response
                why = ApiError(
                    response.status_code, _member(response, "message") or "refused", _member(response, "code")
                )
                if response.status_code not in RETRY_STATUSES:
                    raise why
                delay = max(delay, _retry_after(response))
            if left <= 0:
                raise why
            self._sleep(delay)
            delay *= 2

    def _opened(self) -> httpx.Client:
        import httpx

        if self._client is None:
            self._client = httpx.Client(
                headers={"Accept": "application/json"},
                timeout=self._timeout,
                transport=self._transport,
                verify=self._tls_context() if self._base_url.startswith("https:") else True,
                trust_env=False,
                follow_redirects=False,
            )
        return self._client

    def _credential(self) -> dict[str, str]:
        """None for a machine that has no place yet: its key stays with it."""
        return {"Authorization": f"Bearer {self._api_token}"} if self._api_token else {}

    @staticmethod
    def _data(response: httpx.Response) -> dict[str, Any]:
        try:
            data = response.json().get("data")
        except (ValueError, AttributeError) as error:
            raise ApiError(response.status_code, "the answer is not the hub's") from error
        return data if isinstance(data, dict) else {}


def _is_hub(response: httpx.Response) -> bool:
    try:
        return response.json()["success"] is True
    except (ValueError, KeyError, TypeError):
        return False


def _member(response: httpx.Response, name: str) -> str:
    try:
        return str(response.json()[name])[:300]
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase if name == "message" else ""


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() else 0.0
