"""The work on one link, against a hub in this process that can withhold, repeat and contradict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from device.journal.keeper import StateKeeper
from device.journal.rules import Fact
from device.kernel.worker_thread import WorkerThread
from device.link.connection import open_link
from device.link.duties import LinkDuties, LinkHandlers, readable
from device.link.rules import End, Kind
from device.samples import rules
from device.samples.spool import Batch, SampleSpool
from device.status.return_session import ReturnSession
from device.status.service import RVMStatusChecker
from protocol import messages as m
from tests.device.link.test_connection import hello, socket_url
from tests.support.fake_hub import KEY, FakeHub, fake_hub
from tests.support.until import until

PAYLOAD = b'{"timestamp":"2026-11-23T09:00:00Z","cpu_usage":5.0}'
SAMPLE = m.Sample(timestamp="2026-11-23T09:00:00Z", cpu_usage=7.0)


class Bench:
    """Duties with a spool and a keeper; `heard` is what the ears were told."""

    def __init__(self, folder: Path, hub: FakeHub) -> None:
        self.hub = hub
        self.disk = WorkerThread("disk")
        self.spool = SampleSpool(folder / "spool", "b")
        self.keeper = StateKeeper(folder / "journal", self.disk, self.wake)
        self.heard: list[object] = []
        self.duties: LinkDuties | None = None
        self.served: asyncio.Future[End] | None = None

    def wake(self) -> None:
        if self.duties is not None:
            self.duties.wake()

    def fill(self, count: int) -> None:
        for _ in range(count):
            self.spool.append(PAYLOAD)
        self.wake()

    async def connect(self) -> LinkDuties:
        link, _ = await open_link(socket_url(self.hub.port), KEY, 5.0, hello)
        handlers = LinkHandlers(*[self.heard.append] * 6)
        self.duties = LinkDuties(link, self.spool, self.disk, self.keeper, handlers)
        self.served = asyncio.ensure_future(self.duties.serve())
        return self.duties

    async def ended(self) -> End:
        assert self.served is not None
        return await asyncio.wait_for(self.served, 60)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with fake_hub() as hub:
        made = Bench(tmp_path, hub)
        await made.keeper.open()
        yield made
        if made.served is not None:
            made.served.cancel()
            await asyncio.gather(made.served, return_exceptions=True)
        made.disk.stop()


async def test_a_link_is_behind_while_its_frames_have_no_answer(bench: Bench) -> None:
    bench.hub.acknowledges = False
    duties = await bench.connect()
    assert duties.behind_s() == 0
    bench.fill(1)
    await bench.hub.until(lambda: len(bench.hub.kept) == 1)
    await until(lambda: duties.behind_s() > 0.02)
    await bench.hub.link.say(m.MetricsAck(seq=1))
    await until(lambda: duties.behind_s() == 0)


async def test_only_an_acknowledgement_frees(bench: Bench) -> None:
    bench.hub.acknowledges = False
    bench.fill(3)
    await bench.connect()
    await bench.hub.until(lambda: len(bench.hub.kept) == 3)
    assert bench.spool.pending() == 3
    await bench.hub.link.say(m.MetricsAck(seq=2))
    await until(lambda: bench.spool.pending() == 1)
    await bench.hub.link.say(m.MetricsAck(seq=10**15))
    await until(lambda: bench.spool.pending() == 0)
    bench.fill(1)
    await bench.hub.until(lambda: ("b", 4) in bench.hub.kept)  # an absurd number does not silence us


async def test_a_backlog_travels_in_few_frames_in_order_at_a_pace(bench: Bench) -> None:
    bench.fill(450)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await bench.connect()
    await bench.hub.until(lambda: len(bench.hub.kept) == 450)
    frames = bench.hub.link.of(m.Metrics)
    assert [frame.seq for frame in frames] == [100, 200, 300, 400, 450]
    assert loop.time() - began >= 4 * rules.PACE_S * 0.9
    assert set(bench.hub.deliveries.values()) == {1}


async def test_a_stalled_database_holds_back_the_backlog_but_not_the_live_view(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "REPLAY_SAMPLES_PER_S", 1e6)
    bench.hub.acknowledges = False
    bench.fill(1000)
    duties = await bench.connect()
    await bench.hub.until(lambda: len(bench.hub.kept) == 100 * rules.WINDOW_FRAMES)
    for n in range(3):
        duties.offer_live(SAMPLE)
        await bench.hub.until(lambda: len(bench.hub.live) == n + 1)
    assert len(bench.hub.kept) == 100 * rules.WINDOW_FRAMES
    await bench.hub.link.say(m.MetricsAck(seq=100 * rules.WINDOW_FRAMES))
    bench.hub.acknowledges = True
    await bench.hub.until(lambda: len(bench.hub.kept) == 1000)
    assert set(bench.hub.deliveries.values()) == {1}


async def test_what_stays_unacknowledged_is_sent_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RESEND_AFTER_S", 0.2)
    bench.hub.acknowledges = False
    bench.fill(1)
    await bench.connect()
    await bench.hub.until(lambda: bench.hub.deliveries["b", 1] >= 2)


async def test_a_live_sample_carries_the_newest_kept_number_and_an_old_one_gives_way(bench: Bench) -> None:
    duties = await bench.connect()
    duties.offer_live(m.Sample(timestamp="2026-11-23T09:00:00Z", cpu_usage=1.0))
    duties.offer_live(SAMPLE)
    await bench.hub.until(lambda: bench.hub.live)
    assert bench.hub.live == [SAMPLE]
    assert bench.hub.link.of(m.Metrics)[0].seq == 0
    bench.fill(3)
    await bench.hub.until(lambda: len(bench.hub.kept) == 3)
    duties.offer_live(SAMPLE)
    await bench.hub.until(lambda: len(bench.hub.live) == 2)
    assert bench.hub.link.of(m.Metrics)[-1].seq == 3


async def test_a_status_is_sent_once_a_link_until_it_is_received(bench: Bench) -> None:
    bench.hub.confirms = False
    checker = RVMStatusChecker(bench.keeper, ReturnSession(Path("nowhere"), 900))
    await bench.connect()
    await checker.update_status("full")
    await bench.hub.until(lambda: bench.hub.reports)
    await checker.update_status("error")
    await bench.hub.until(lambda: len(bench.hub.reports) == 2)
    assert [r.status for r in bench.hub.reports] == ["full", "error"]
    bench.hub.link.socket.transport.abort()
    await bench.ended()
    bench.hub.confirms = True
    await bench.connect()
    await bench.hub.until(lambda: len(bench.hub.reports) == 4)
    await until(lambda: len(bench.keeper.memory.outbox) == 0)


async def test_the_handlers_receive_what_is_theirs(bench: Bench) -> None:
    await bench.connect()
    command = bench.hub.command("ping")
    error = m.Error(code="invalid", message="x", ref=1)
    config = m.Config(version=2, values={"metrics_interval": 1})
    for message in (command, m.Cancel(id="c9"), m.Live(interval=5), error, config):
        await bench.hub.link.say(message)
    await until(lambda: len(bench.heard) == 5)
    assert bench.heard == [command, m.Cancel(id="c9"), 5, error, config]


async def test_a_restarting_hub_is_left_at_the_time_it_named(bench: Bench) -> None:
    await bench.connect()
    await bench.hub.link.say(m.Restarting(reconnect_in=(0.3, 0.3)))
    end = await bench.ended()
    assert (end.kind, end.wait_s) == (Kind.RESTARTING, 0.0)


async def test_a_restarting_hub_that_closes_early_is_not_called_back_early(bench: Bench) -> None:
    await bench.connect()
    await bench.hub.link.say(m.Restarting(reconnect_in=(20, 30)))
    await bench.hub.link.socket.close(1012)
    end = await bench.ended()
    assert end.kind is Kind.RESTARTING
    assert end.wait_s is not None
    assert 19 <= end.wait_s <= 30


def test_a_sample_of_another_version_keeps_its_number_without_its_readings() -> None:
    samples = readable(Batch("b", 3, [PAYLOAD, b'{"cpu_usage":"lots"}', PAYLOAD]))
    assert [sample.cpu_usage for sample in samples] == [5.0, None, 5.0]


async def test_an_answer_from_memory_never_overtakes_the_result_itself(bench: Bench) -> None:
    """A command that comes three times before the first word leaves is answered three times: the hub must not confirm
    a repetition, and so take from the outbox what was never said."""
    result = m.CommandUpdate(id="c1", state="succeeded")
    bench.keeper.memory.apply(Fact(at=1.0, answered=result))
    duties = await bench.connect()
    duties.reply(m.CommandUpdate(id="c1", state="running"))
    for _ in range(2):
        duties.reply(result)
    await bench.hub.until(lambda: len(bench.hub.updates.get("c1", [])) == 3)
    assert [update.state for update in bench.hub.link.of(m.CommandUpdate)] == ["running", *["succeeded"] * 3]
