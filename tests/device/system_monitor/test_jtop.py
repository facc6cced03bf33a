"""The jtop service killed, restarted, of a wrong version: the field is absent at once and comes back by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from device.system_monitor.jtop import RETRY_AFTER_S, STALE_AFTER_S, JtopAdapter


class FakeService:
    """Plays client and service; `refuse` is what starting raises."""

    def __init__(self) -> None:
        self.now = 0.0
        self.refuse: Exception | None = None
        self.stats: Any = {"time": 0, "GPU": 40, "Power TOT": 7500}
        self.started = self.closed = 0
        self.on_update: Callable[[], None] = lambda: None

    def clock(self) -> float:
        return self.now

    def connect(self, on_update: Callable[[], None]) -> FakeService:
        if self.refuse is not None:
            raise self.refuse
        self.started += 1
        self.on_update = on_update
        on_update()
        return self

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("foreign code")

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.on_update()


def test_fresh_values_are_read() -> None:
    service = FakeService()
    adapter = JtopAdapter(service.clock, service.connect)
    assert (adapter.gpu().value, adapter.power().value) == (40.0, 7.5)
    assert service.started == 1


def test_a_dead_service_serves_no_stale_value_and_comes_back() -> None:
    service = FakeService()
    adapter = JtopAdapter(service.clock, service.connect)
    adapter.gpu()
    service.now += STALE_AFTER_S / 2
    assert adapter.gpu().value == 40.0
    service.now += STALE_AFTER_S
    assert adapter.gpu().reason == "jtop has stopped answering"
    assert service.closed == 1
    service.now += RETRY_AFTER_S
    assert adapter.gpu().value == 40.0
    assert service.now < 30, "within half a minute"


def test_old_values_that_are_repeated_after_a_wait_are_stale() -> None:
    service = FakeService()
    adapter = JtopAdapter(service.clock, service.connect)
    for _ in range(5):
        assert adapter.gpu().value == 40.0
        service.tick()
    for _ in range(2):  # as the client does when its service died: three intervals, then the same again
        service.tick(3.0)
        assert adapter.gpu().value is None


def test_another_version_or_none_is_an_absent_reading_not_an_error() -> None:
    service = FakeService()
    for refusal, why in [
        (ImportError("jtop"), "jetson-stats is not installed"),
        (RuntimeError("mismatch version"), "the jtop service does not answer"),
    ]:
        service.refuse = refusal
        service.now += RETRY_AFTER_S + 1
        adapter = JtopAdapter(service.clock, service.connect)
        assert adapter.gpu().reason == why
        assert adapter.power().reason == why


def test_a_refusing_service_is_not_asked_again_at_once() -> None:
    service = FakeService()
    service.refuse = RuntimeError("no")
    adapter = JtopAdapter(service.clock, service.connect)
    adapter.gpu()
    service.refuse = None
    assert adapter.gpu().value is None
    service.on_update = lambda: None
    service.tick(RETRY_AFTER_S)
    assert adapter.gpu().value == 40.0


def test_nonsense_from_the_service_is_absent() -> None:
    service = FakeService()
    adapter = JtopAdapter(service.clock, service.connect)
    for nonsense in ({"time": 1}, {"time": 2, "GPU": "x"}, {"time": 3, "GPU": -256}, {"time": 4, "GPU": float("nan")}):
        service.stats = nonsense
        assert adapter.gpu().value is None
    service.stats = None
    assert adapter.gpu().reason == "jtop failed"
