"""What every command needs around its runs: a temporary folder, the database if it is PostgreSQL, bare servers and the
hub, all of them ended when the scene is."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from types import TracebackType

from bench.broker import mosquitto
from bench.crowd import Target
from bench.hub import Hub, hub
from bench.postgres import Postgres, postgres
from bench.processes import Server, bare, on_core


class Scene:
    """Use as a context manager. Servers live until it ends, so that their runs can take turns."""

    def __init__(self, database: str = "sqlite") -> None:
        self._stack = contextlib.ExitStack()
        self._wanted = database
        self.postgres: Postgres | None = None

    def __enter__(self) -> Scene:  # noqa: PYI034 - typing.Self is not in Python 3.10
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if self._wanted == "postgresql":
            with on_core(0):
                self.postgres = self._stack.enter_context(postgres())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def bare(self, kind: str) -> Server:
        """A yardstick; `durable` is the one that fits the scene's database."""
        store = self.postgres.url() if self.postgres else str(self.folder / f"{kind}.sqlite3")
        name = self._wanted if kind == "durable" else kind
        return self._stack.enter_context(bare(name, store, self._also()))

    def hub(self, machines: int) -> Hub:
        url = self.postgres.new_database("hub") if self.postgres else ""
        return self._stack.enter_context(hub(self.folder, machines, url, self._also()))

    def mosquitto(self, *lines: str) -> Server:
        """A broker with these lines added to its configuration."""
        return self._stack.enter_context(mosquitto(self.folder, *lines))

    def _also(self) -> tuple[int, ...]:
        return (self.postgres.pid,) if self.postgres else ()


def strangers(server: Server, count: int) -> Target:
    """Machines as a bare server knows them: by a number at the end of their name."""
    names = [f"bench-{k + 1}" for k in range(count)]
    return Target(host="127.0.0.1", port=server.port, devices=names, keys=names)


def parser(name: str, description: str | None, *, machines: int, seconds: float = 3.0) -> argparse.ArgumentParser:
    """The flags that every command has."""
    parser = argparse.ArgumentParser(prog=f"bench.{name}", description=(description or "").split("\n", 1)[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--machines", type=int, default=machines)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--repeat", type=int, default=3)
    return parser
