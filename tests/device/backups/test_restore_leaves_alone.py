"""restore_backup leaves alone what is the agent's own, what links lead to, and no log of a database that goes."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from device.commands.jobs import WorkFailedError
from device.settings import load
from tests.support.restored_machine import OLD, RestoredMachine, abandon, left_over


@pytest.fixture
def world(tmp_path: Path) -> RestoredMachine:
    return RestoredMachine(tmp_path)


async def test_the_agents_own_files_stay_also_below_a_link_and_when_named(tmp_path: Path) -> None:
    world = RestoredMachine(tmp_path)
    app = world.roots["app"]
    config = json.loads((tmp_path / "machine.json").read_text())
    config |= {"state_dir": str(tmp_path / "way" / "state"), "api_token": "file:machine.key"}
    (tmp_path / "way").symlink_to(app)
    own = {
        app / "machine.json": json.dumps(config), app / "machine.key": config["api_token"],
        app / "state" / "journal": "journal", app / "state" / "sub" / "x": "x",
    }  # fmt: skip
    (app / "state" / "sub").mkdir(parents=True)
    for path, text in own.items():
        path.write_text(text)
        path.chmod(0o600)
    (app / "machine.key").write_text("rvmk_" + "k" * 40)
    backup = world.back_up()
    (app / "machine.key").write_text("rvmk_" + "n" * 40)
    (app / "machine.json").write_text(json.dumps({**config, "metrics_interval": 7}))
    (app / "state" / "journal").write_text("of today")
    (app / "state" / "sub" / "x").write_text("of today")
    today = {path: path.read_bytes() for path in own}
    world.settings = load(tmp_path / "way" / "machine.json", {})
    world.state_dir = world.settings.state_dir
    world.restores = world.agent()
    await world.restore(backup)
    assert {path: path.read_bytes() for path in own} == today
    for named in ("app/machine.key", "app/machine.json", "app/state", "app/state/sub", "app/state/sub/x"):
        with pytest.raises(WorkFailedError):
            await world.restore(backup, paths=(named,))
        assert {path: path.read_bytes() for path in own} == today
    assert left_over(world) == []


@pytest.mark.parametrize("named", [("app/x.db",), ()])
@pytest.mark.parametrize("exclude", [["*.tmp", "cache"], ["*-wal", "*-shm"]])
async def test_a_database_comes_back_without_the_log_of_the_one_that_was_there(
    tmp_path: Path, named: tuple[str, ...], exclude: list[str]
) -> None:
    world = RestoredMachine(tmp_path)
    config = json.loads((tmp_path / "machine.json").read_text())
    config["backup_sources"]["app"]["exclude"] = exclude
    (tmp_path / "machine.json").write_text(json.dumps(config))
    world.settings = load(tmp_path / "machine.json", {})
    database = world.roots["app"] / "x.db"
    abandon(database, "old")
    backup = world.back_up()
    abandon(database, "new")
    assert database.with_name("x.db-wal").stat().st_size > 0
    await world.restore(backup, paths=named or None)
    with contextlib.closing(sqlite3.connect(database)) as restored:
        assert restored.execute("select distinct v from t").fetchall() == [("old",)]
    assert left_over(world) == []


async def test_nothing_is_put_where_a_link_leads(world: RestoredMachine, tmp_path: Path) -> None:
    backup = world.back_up()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "deep").write_bytes(b"somebody's")
    sub = world.roots["app"] / "sub"
    shutil.rmtree(sub)
    sub.symlink_to(elsewhere)
    with pytest.raises(WorkFailedError) as refused:
        await world.restore(backup, paths=("app/sub/deep",))
    assert str(refused.value).startswith("unsafe")
    assert (elsewhere / "deep").read_bytes() == b"somebody's"
    await world.restore(backup, paths=("app/sub",))
    assert (sub / "deep").read_bytes() == OLD
    assert (elsewhere / "deep").read_bytes() == b"somebody's"
