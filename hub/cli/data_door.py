"""The command line's way to the data: the same Changes through the same commit as the hub's, without its memory.

A running hub learns of it from the database (hub.flow); here is only opening, recording, closing, and how each refusal
of settings or database ends a command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from pathlib import Path

from db import errors
from db.connection import Store, open_store
from hub.cli.exit_codes import CliError, Exit
from hub.cli.language import say
from hub.cli.parser import DATA_FLAGS, SERVE_FLAGS
from hub.core.changes import Change
from hub.flow.group_commit import commit_alone
from hub.settings import Settings, SettingsError

CHECKOUT = Path(__file__).resolve().parents[2]


class DataDoor:
    """The open database of one command."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def record(self, *changes: Change) -> list[Change]:
        """Commit all in one transaction; returns them with their stored ids. Raises db.errors.Conflict."""
        return await commit_alone(self.store, changes)


def settings_of(wanted: argparse.Namespace, **more: object) -> Settings:
    """Flags over environment over defaults; the default data folder is the checkout's, wherever one stands."""
    given = {name: getattr(wanted, name, None) for name in (*DATA_FLAGS, *SERVE_FLAGS)} | more
    if given["data_dir"] is None and not os.environ.get("RVM_DATA_DIR"):
        given["data_dir"] = CHECKOUT / "data"
    try:
        return Settings.load(given, os.environ)
    except SettingsError as error:
        raise CliError(Exit.CONFIGURATION, "settings", f"{error.name}: {error.why}", error.fix) from error


@contextlib.asynccontextmanager
async def open_data(settings: Settings, *, create: bool) -> AsyncIterator[DataDoor]:
    """The database, brought to the newest schema. `create`: a data folder that is not there yet may be made."""
    make_folders(settings, create=create)
    with refusals():
        store = await open_store(settings.database_url)
        try:
            yield DataDoor(store)
        finally:
            await store.close()


def make_folders(settings: Settings, *, create: bool) -> None:
    """Make the data folder; refuse a SQLite file that is not there, or whose own folder is not."""
    file = sqlite_file(settings)
    if file is not None and not file.exists():
        has_room = file.parent == settings.data_dir or file.parent.is_dir()
        if not (create and has_room):
            missing = say("database.missing", path=file)
            raise CliError(Exit.CONFIGURATION, "no_database", missing, say("database.missing.fix"))
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(settings.data_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise CliError(
            Exit.CONFIGURATION, "data_unwritable",
            say("data.unwritable", path=settings.data_dir, why=error.strerror), say("data.unwritable.fix"),
        ) from error  # fmt: skip


def sqlite_file(settings: Settings) -> Path | None:
    url = settings.database_url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What the database refuses, as the end of a command. Callers catch the conflicts they can explain before."""
    try:
        yield
    except errors.Unavailable as error:
        raise CliError(
            Exit.UNREACHABLE, "database_unavailable", say("database.away", why=error), say("database.away.fix")
        ) from error
    except errors.Conflict as error:
        raise CliError(Exit.CONFLICT, "conflict", say("database.refused", why=error)) from error
    except errors.StoreError as error:
        raise CliError(Exit.FAILED, "database_refused", say("database.refused", why=error)) from error


def now() -> datetime:
    return datetime.now(timezone.utc)


def clock_time(moment: datetime) -> str:
    """An instant as the person at the terminal reads it."""
    return moment.astimezone().strftime("%H:%M")
