"""What a load process is asked to do and what it found, as values that travel as JSON between two processes."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.crowd import Target

Form = Literal["window", "open", "idle", "storm", "live", "commands", "mqtt"]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `watch` are the process ids whose CPU is charged to the server."""

    form: Form
    target: Target
    watch: list[int]
    seconds: float = 3.0
    warm_up_s: float = 0.7
    window: int = 4
    samples: int = 1
    rate: float = 0.0
    """Samples a second over all links (open loop), or frames a second of each machine (live)."""
    browsers: int = 0
    browser_path: str = "/ws/dashboard"
    browser_tokens: tuple[str, ...] = ()
    """Of the people whose browsers they are, as many each as the hub lets one have."""
    browser_hello: str = ""
    """The first text a browser sends after the upgrade."""
    orders: int = 200
    """Commands one after the other (commands)."""
    order_head: str = "POST /command/{id} HTTP/1.1"
    order_headers: dict[str, str] = {}
    order_bodies: list[str] = []
    """Request bodies taken in turn."""
    ids: list[int] = []
    """The machine's number in a request path, beside target.devices."""
    others: Target | None = None
    """Machines that are not ordered anything and send a sample every `others_every_s` (commands, mqtt)."""
    others_every_s: float = 5.0
    jitter_s: float = 0.0
    """Storm: each machine waits a random time up to this before it tries again; 0 = at once."""


class Found(msgspec.Struct, kw_only=True):
    """What one run measured. Rates are per second, latencies milliseconds, CPU in shares of a core."""

    count: int = 0
    rate: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    cpu_share: float = 0.0
    cpu_us_each: float = 0.0
    load_share: float = 0.0
    seconds: float = 0.0
    connect_s: float = 0.0
    attempts: int = 0
    bytes_each: float = 0.0
    kib_each: float = 0.0
    failure: str = ""
