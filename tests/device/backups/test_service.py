"""Backups by real child processes: what arrives, what a cut costs, to whom they yield, how they end."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.backups.child import NICENESS
from device.backups.control import FOLDER
from device.commands.jobs import WorkCancelledError, WorkFailedError, WorkRejectedError
from tests.device.backups.client_bench import MIB, ClientBench, client_bench
from tests.support.fake_hub import KEY
from tests.support.small_disk import small_disk
from tests.support.two_users import only_root
from tests.support.until import until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ClientBench]:
    with client_bench(tmp_path) as made:
        yield made


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The plain files of an archive by path, without its manifests."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None and not member.name.startswith(".myrvm/"):
                found[member.name] = content.read()
    return found


async def test_what_stands_in_the_sources_arrives_whole(bench: ClientBench) -> None:
    files = {"photos/a.jpg": bench.fill("a.jpg", 9 * MIB), "photos/b/c.jpg": bench.fill("b/c.jpg", 17 * MIB, 2)}
    result = await bench.back_up()
    backup = bench.hub.backup(1)
    assert unpacked(backup.archive) == {name: file.read_bytes() for name, file in files.items()}
    assert (result["backup_id"], result["backup_type"], result["files"], result["bytes"]) == (1, "full", 2, 26 * MIB)
    assert (result["size"], result["report"]) == (len(backup.archive), [])
    assert set(backup.deliveries.values()) == {1}
    assert [begun.get("estimate") for begun in backup.begun] == [None, {"bytes": 26 * MIB, "files": 2}]
    assert bench.phases[0] == "scanning"
    assert "sending" in bench.phases
    assert bench.phases[-1] == "finishing"
    totals = {progress.total for progress in bench.progress if progress.phase == "sending"}
    assert totals == {26 * MIB}
    assert not (bench.settings.state_dir / FOLDER / "1").exists(), "only the index stays"
    assert KEY not in bench.log.getvalue()


async def test_the_machines_key_is_in_no_archive(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    key = bench.source / "machine.key"
    key.write_text(KEY)
    key.chmod(0o600)
    bench.set(api_token=f"file:{key}")
    assert bench.settings.key_file == key
    await bench.back_up()
    assert set(unpacked(bench.hub.backup(1).archive)) == {"photos/a.jpg"}


async def test_the_next_one_has_what_changed_and_what_is_gone(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000), bench.fill("b.jpg", 1000)
    await bench.back_up(1)
    bench.fill("c.jpg", 500, 3)
    (bench.source / "a.jpg").unlink()
    result = await bench.back_up(2, "incremental")
    assert result["backup_type"] == "incremental"
    begun, parent = bench.hub.backup(2).begun[0], bench.hub.backup(1).archive
    assert (begun["parent_id"], begun["parent_sha256"]) == (1, hashlib.sha256(parent).hexdigest())
    assert set(unpacked(bench.hub.backup(2).archive)) == {"photos/c.jpg"}
    summary = bench.hub.backup(2).summary
    assert summary is not None
    assert summary["deleted"] == 1


async def test_a_full_chain_and_a_lost_parent_make_a_full_one(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    bench.set(backup_chain=2)
    kinds = [(await bench.back_up(number, "incremental"))["backup_type"] for number in (1, 2, 3)]
    assert kinds == ["full", "incremental", "full"]
    bench.hub.parents = {1, 2}
    assert (await bench.back_up(4, "incremental"))["backup_type"] == "full"
    assert [begun["parent_id"] for begun in bench.hub.backup(4).begun] == [3, None, None]
    bench.hub.parents = None
    assert (await bench.back_up(5, "incremental"))["backup_type"] == "incremental"


async def test_a_backup_that_came_to_nothing_is_no_base(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    bench.hub.refusals["complete"] = [(409, "damaged")]
    with pytest.raises(WorkFailedError, match="damaged"):
        await bench.back_up(1)
    assert not (bench.settings.state_dir / FOLDER / "1").exists()
    assert (await bench.back_up(2, "incremental"))["backup_type"] == "full"


async def test_a_killed_child_goes_on_at_the_last_confirmed_part(bench: ClientBench) -> None:
    file = bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: len(bench.hub.backup(1).parts) >= 3)
    assert bench.client.pid is not None
    os.kill(bench.client.pid, signal.SIGKILL)
    result = await running
    backup = bench.hub.backup(1)
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    assert result["sha256"], "the hub's own, where ours has no beginning"
    assert backup.summary is not None
    assert backup.summary["sha256"] == "", "it did not read the beginning again"
    assert sum(backup.deliveries.values()) - len(backup.parts) <= 1, backup.deliveries


async def test_an_agent_that_starts_again_goes_on(bench: ClientBench) -> None:
    """The command comes again from the hub, and finds what the life before had done."""
    file = bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: len(bench.hub.backup(1).parts) >= 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bench.anew()
    bench.progress.clear()
    before = len(bench.hub.backup(1).begun)
    await bench.back_up()
    backup = bench.hub.backup(1)
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    first = next(progress for progress in bench.progress if progress.phase == "sending")
    assert first.done is not None
    assert first.done >= MIB, "what the life before had sent counts"
    assert sum(backup.deliveries.values()) - len(backup.parts) <= 1, backup.deliveries
    assert backup.summary is not None
    assert backup.summary["sha256"] == "", "it did not read the beginning again"
    assert all("estimate" not in begun for begun in backup.begun[before:]), "it did not scan again"


async def test_a_completed_one_whose_answer_was_lost_succeeds_without_sending_again(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    await bench.back_up()
    bench.anew()
    assert (await bench.back_up())["backup_id"] == 1
    assert set(bench.hub.backup(1).deliveries.values()) == {1}


@pytest.mark.parametrize("fault", ["cut", "lost", "away"])
async def test_what_the_network_does_delays_and_fails_nothing(bench: ClientBench, fault: str) -> None:
    file = bench.fill("a.jpg", 20 * MIB)
    if fault == "cut":
        bench.hub.cut_after = 3 * MIB
    elif fault == "lost":
        bench.hub.lose_answers = 1
    else:
        bench.hub.refusals = {
            "upload": [(503, "")],
            "parts": [(503, "store_away"), (400, ""), (409, "part_differs")],
            "complete": [(502, "")],
        }
    await bench.back_up()
    backup = bench.hub.backup(1)
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    assert set(backup.deliveries.values()) == {1}, "what was there is not sent again"
    assert "waiting" in bench.phases
    if fault == "cut":
        assert bench.hub.bytes_received <= len(backup.archive) + 4 * MIB, (
            "of a part that broke off its first piece stays"
        )


@pytest.mark.parametrize(("piece", "in_flight"), [(4 * MIB, 2), (8 * MIB, 1)])
async def test_never_more_than_one_parts_bytes_are_unanswered(bench: ClientBench, piece: int, in_flight: int) -> None:
    """Several parts travel in pieces; where the store keeps whole parts only there is one at a time."""
    bench.fill("a.jpg", 60 * MIB)
    bench.hub.piece_size, bench.hub.answers_together = piece, 2
    await bench.back_up()
    assert (bench.hub.most_in_flight, bench.hub.most_unanswered) == (in_flight, 8 * MIB)


async def test_a_store_that_keeps_whole_parts_only_gets_one_at_a_time(bench: ClientBench) -> None:
    """So that no cut makes the machine send more than one part's bytes twice."""
    file = bench.fill("a.jpg", 30 * MIB)
    bench.hub.piece_size, bench.hub.cut_after = 8 * MIB, 7 * MIB
    await bench.back_up()
    backup = bench.hub.backup(1)
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    assert bench.hub.most_in_flight == 1
    assert bench.hub.bytes_received <= len(backup.archive) + 8 * MIB


async def test_a_hub_that_lost_parts_gets_what_it_lacks(bench: ClientBench) -> None:
    """It was restored from a backup of its own: parts that it had confirmed are unknown to it."""
    file = bench.fill("a.jpg", 60 * MIB)
    bench.hub.together = 2
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: len(bench.hub.backup(1).parts) >= 5)
    backup = bench.hub.backup(1)
    with bench.hub.lock:
        del backup.parts[2]
    await running
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    assert backup.deliveries[2] == 2
    assert sum(backup.deliveries.values()) == len(backup.parts) + 1, "and nothing else again"


async def test_a_machine_that_goes_on_with_a_hub_that_lost_parts_sends_only_those(bench: ClientBench) -> None:
    file = bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: len(bench.hub.backup(1).parts) >= 4)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bench.anew()
    backup = bench.hub.backup(1)
    del backup.parts[1]
    await bench.back_up()
    assert unpacked(backup.archive) == {"photos/a.jpg": file.read_bytes()}
    assert backup.deliveries[1] == 2
    assert sum(backup.deliveries.values()) <= len(backup.parts) + 3


async def test_the_hub_may_take_its_time_to_look_at_it(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    bench.hub.finishing = 3
    await bench.back_up()
    assert bench.hub.finishing == 0


@pytest.mark.parametrize(("code", "found"), [("store_away", "store_away"), ("", "hub_away")])
async def test_what_is_away_until_the_deadline_is_named(
    bench: ClientBench, monkeypatch: pytest.MonkeyPatch, code: str, found: str
) -> None:
    bench.fill("a.jpg", 1000)
    bench.hub.refusals["parts"] = [(503, code)] * 1000
    job = bench.job()
    running = asyncio.ensure_future(bench.back_up(job=job))
    await until(lambda: "waiting" in bench.phases)
    monkeypatch.setattr(job, "prolong", lambda seconds: None)
    job.deadline = 0.0
    with pytest.raises(WorkFailedError, match=found):
        await running


async def test_a_part_that_is_refused_again_and_again_ends_the_backup(bench: ClientBench) -> None:
    bench.fill("a.jpg", 1000)
    bench.hub.refusals["parts"] = [(400, "malformed")] * 1000
    with pytest.raises(WorkFailedError) as ended:
        await bench.back_up(1)
    assert ended.value.failure.code == "hub_refused"
    bench.hub.refusals["parts"] = [(400, "malformed")] * 3
    assert (await bench.back_up(2))["files"] == 1


@pytest.mark.parametrize(
    ("status", "code", "found"), [(413, "too_large", "too_large"), (409, "quota", "quota"), (403, "", "hub_refused")]
)
async def test_what_the_hub_refuses_ends_it(bench: ClientBench, status: int, code: str, found: str) -> None:
    bench.fill("a.jpg", 1000)
    bench.hub.refusals["upload"] = [(status, code)]
    with pytest.raises(WorkFailedError) as ended:
        await bench.back_up()
    assert ended.value.failure.code == found
    assert not bench.hub.backup(1).parts


async def test_cancelled_it_ends_at_once_and_leaves_nothing(bench: ClientBench) -> None:
    bench.fill("a.jpg", 60 * MIB)
    job = bench.job()
    running = asyncio.ensure_future(bench.back_up(job=job))
    await until(lambda: bench.hub.backup(1).parts)
    pid = bench.client.pid
    job.cancelled.set()
    with pytest.raises(WorkCancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)
    assert not (bench.settings.state_dir / FOLDER / "1").exists()


@pytest.mark.parametrize("whom", ["customer", "control"])
async def test_it_yields_and_goes_on(bench: ClientBench, whom: str) -> None:
    bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: bench.hub.backup(1).parts)
    bench.is_customer, bench.behind_s = whom == "customer", 2.0 if whom == "control" else 0.0
    await until(lambda: bench.phases[-1] == "waiting")
    before = -1
    while before != bench.hub.bytes_received:
        before = bench.hub.bytes_received
        await asyncio.sleep(0.3)  # what the kernel had of it arrives
    await asyncio.sleep(1.0)  # in which next to nothing may come
    assert bench.hub.bytes_received - before <= 4096, "a trickle at most"
    assert not running.done()
    bench.is_customer, bench.behind_s = False, 0.0
    await running


async def test_backups_that_are_off_are_refused(bench: ClientBench) -> None:
    bench.set(backup_enabled=False)
    with pytest.raises(WorkRejectedError) as refused:
        await bench.back_up()
    assert refused.value.failure.code == "backups_disabled"


async def test_nothing_to_back_up_is_reported(bench: ClientBench) -> None:
    bench.source.rmdir()
    with pytest.raises(WorkFailedError) as ended:
        await bench.back_up()
    assert ended.value.failure.code == "no_sources"
    bench.set(backup_sources={"logs": {"path": "/var/log/none", "class": "images"}})
    bench.client = bench.anew()


async def test_a_backup_of_nothing_but_the_agents_own_file_says_so(bench: ClientBench) -> None:
    bench.set(backup_sources={})
    made = await bench.back_up()
    assert made["report_counts"] == {"only_agent": 1}
    bench.fill("a.jpg", 100)
    bench.set(backup_sources={"agent": {"path": str(bench.source), "class": "images"}})
    assert (await bench.back_up(2))["report_counts"] == {}


async def test_the_child_is_polite_small_and_carries_no_key_for_others_to_see(bench: ClientBench) -> None:
    bench.fill("a.jpg", 100 * MIB)
    bench.hub.together = 2
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: len(bench.hub.backup(1).parts) >= 3)
    child = Path(f"/proc/{bench.client.pid}")
    assert KEY.encode() not in (child / "cmdline").read_bytes() + (child / "environ").read_bytes()
    assert int((child / "stat").read_text().rpartition(")")[2].split()[16]) == min(os.nice(0) + NICENESS, 19)
    await until(lambda: len(bench.hub.backup(1).parts) >= 10)
    peak = next(line for line in (child / "status").read_text().splitlines() if line.startswith("VmHWM"))
    await running
    print(peak)
    assert int(peak.split()[1]) <= 64 * 1024, peak
    assert bench.hub.most_in_flight >= 2


async def test_backups_of_one_machine_take_turns(bench: ClientBench) -> None:
    """Also one whose command was to begin soon, or is withdrawn meanwhile."""
    bench.fill("a.jpg", 20 * MIB)
    bench.set(backup_rate=20_000)
    soon, withdrawn = bench.job(lasts_s=0.5), bench.job()
    first = asyncio.ensure_future(bench.back_up(1))
    await until(lambda: bench.hub.backup(1).parts)
    second = asyncio.ensure_future(bench.back_up(2, "incremental", job=soon))
    third = asyncio.ensure_future(bench.back_up(3, "incremental", job=withdrawn))
    await until(lambda: "waiting" in bench.phases)
    withdrawn.cancelled.set()
    with pytest.raises(WorkCancelledError):
        await third
    assert [(await each)["backup_type"] for each in (first, second)] == ["full", "incremental"]
    assert 3 not in bench.hub.backups


@only_root
async def test_a_disk_without_room_is_reported_before_it_begins_and_while_it_runs(bench: ClientBench) -> None:
    bench.fill("a.jpg", 60 * MIB)
    with small_disk(bench.folder / "small", "20m"):
        bench.set(state_dir=str(bench.folder / "small" / "state"))
        with pytest.raises(WorkFailedError) as ended:
            await bench.back_up(1)
    assert ended.value.failure.code == "disk_full"
    assert "bytes are needed" in ended.value.failure.message
    with small_disk(bench.folder / "larger", "120m") as disk:
        bench.set(state_dir=str(bench.folder / "larger" / "state"), backup_rate=20_000)
        running = asyncio.ensure_future(bench.back_up(2))
        await until(lambda: bench.hub.backup(2).parts)
        disk.fill()
        with pytest.raises(WorkFailedError) as ended:
            await running
    assert ended.value.failure.code == "disk_full"
