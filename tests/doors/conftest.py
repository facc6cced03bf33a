"""What the tests of the doors share: the command line called in this process, and the hub started as a process."""

from __future__ import annotations

import asyncio
import io
import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from db.engine.row_writes import insert
from db.engine.store import Store
from db.table_row import TableRow
from demo import start
from hub.cli import main
from hub.cli.data import open_data, settings_of
from installer import cli as installer
from tests.support.door_process import DoorProcess
from tests.support.postgres import Databases


class Said(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests; English."""
    for name in [name for name in os.environ if name.startswith("RVM_") and name != "RVM_VENV"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RVM_LANG", "en")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def cli(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("machine", "list")`: in this process, on the test's own data folder."""

    def call(*words: object, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        argv = ["run_hub.py", *map(str, words)]
        monkeypatch.setattr("sys.argv", argv)
        monkeypatch.setenv("RVM_DATA_DIR", str(data))
        try:
            code = main.run(main.read(argv[1:]), start.run, partial(installer.grammar, "run_hub.py"))
        except SystemExit as ended:  # argparse: help and wrong usage
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def start_hub() -> Iterator[Callable[..., DoorProcess]]:
    """`start_hub("--demo", ...)`: a process that is gone after the test, with all it started."""
    with ExitStack() as stack:

        def start(*words: object, **environment: str) -> DoorProcess:
            hub = DoorProcess(words, environment)
            stack.callback(hub.close)
            return hub

        yield start


def places(kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[object]]:
    """The flags of a hub's place where nothing is."""
    folder = ["--data-dir", tmp_path / name]
    if kind == "sqlite":
        yield folder
        return
    server: Databases = request.getfixturevalue("postgres_databases")
    database = server.create()
    yield [*folder, "--database-url", server.url(database)]
    server.drop(database)


@pytest.fixture(params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[object]]:
    yield from places(request.param, "here", request, tmp_path)


def stored(here: list[object], work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` does with the database of that place, as a hub beside the command would."""
    flags = {str(here[i]).removeprefix("--").replace("-", "_"): str(here[i + 1]) for i in range(0, len(here), 2)}

    async def opened() -> T:
        async with open_data(settings_of(Namespace(**flags)), create=False) as place:
            return await work(place.store)

    return asyncio.run(opened())


def recorded(here: list[object], *rows: TableRow) -> None:
    """As a hub records them."""

    async def put(store: Store) -> None:
        await store.write(*(insert(row) for row in rows))

    stored(here, put)
