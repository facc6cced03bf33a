"""The yardsticks measure what they claim: what they acknowledge is in the database, once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from bench import scene
from bench.load_spec import Form, Found, Spec
from bench.processes import Server, bare, run_load

MACHINES = 5


def load(server: Server, form: Form = "window", **more: float) -> Found:
    found = run_load(
        Spec(
            form=form, target=scene.strangers(server, MACHINES), watch=server.pids, seconds=0.3, warm_up_s=0.1,
            samples=int(more.get("samples", 1)), rate=more.get("rate", 0.0), browsers=int(more.get("browsers", 0)),
        )
    )  # fmt: skip
    assert found.failure == ""
    return found


@pytest.mark.parametrize("samples", [1, 100])
def test_what_the_durable_yardstick_acknowledges_is_committed_once(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "bare.sqlite3"
    with bare("sqlite", str(path)) as server:
        found = load(server, samples=samples)
    rows, keys = (
        sqlite3.connect(path).execute("SELECT count(*), count(DISTINCT rvm_id * 1e9 + seq) FROM samples").fetchone()
    )
    assert found.count > 0
    assert rows == keys >= found.count


@pytest.mark.parametrize("kind", ["receive", "naive"])
def test_the_other_yardsticks_acknowledge_too(tmp_path: Path, kind: str) -> None:
    with bare(kind, str(tmp_path / "bare.sqlite3")) as server:
        found = load(server)
    assert found.count > 0
    assert 0 < found.p50_ms <= found.p99_ms <= found.max_ms


def test_an_open_loop_keeps_its_rate(tmp_path: Path) -> None:
    with bare("sqlite", str(tmp_path / "bare.sqlite3")) as server:
        found = load(server, "open", rate=500)
    assert 300 < found.rate < 700


def test_idle_links_are_counted() -> None:
    with bare("receive") as server:
        found = load(server, "idle")
    assert found.count == MACHINES
    assert found.connect_s > 0


def test_browsers_receive_what_machines_send() -> None:
    with bare("fanout") as server:
        found = load(server, "live", rate=20, browsers=3)
    assert found.count >= 3
    assert found.bytes_each > 100


def test_postgresql_is_measured_the_same_way() -> None:
    with scene.Scene("postgresql") as stage:
        server = stage.bare("durable")
        assert load(server).count > 0
        assert len(server.pids) == 2


@pytest.mark.parametrize(("kind", "kept"), [("command", True), ("commandonly", False)])
def test_a_bare_command_is_committed_twice_and_samples_as_its_kind_says(tmp_path: Path, kind: str, kept: bool) -> None:
    path = tmp_path / "bare.sqlite3"
    with bare(kind, str(path)) as server:
        everybody = scene.strangers(server, MACHINES)
        others = msgspec.structs.replace(everybody, devices=["bench-9"], keys=["bench-9"])
        spec = Spec(
            form="commands", target=everybody, others=others, others_every_s=0.02, watch=server.pids, orders=5,
            order_bodies=["{}"], ids=list(range(1, MACHINES + 1)), warm_up_s=0.3,
        )  # fmt: skip
        assert run_load(spec).failure == ""
    database = sqlite3.connect(path)
    assert set(database.execute("SELECT state FROM commands")) == {("succeeded",)}
    assert (database.execute("SELECT count(*) FROM samples").fetchone()[0] > 0) is kept
