"""Brings a database to the newest schema. On PostgreSQL one process at a time."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.sqlite_files import from_sqlite, path_of
from db.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parents[1] / "migrations"
READ_VERSION = "SELECT version_num FROM alembic_version"
_WAIT_S = 60.0


def versions() -> list[str]:
    """Oldest first: the numbers of the files."""
    return sorted(path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def upgrade(url: str) -> None:
    """Safe in several processes. Raises Unavailable, StoreError (made by a newer version)."""
    if url.startswith("sqlite"):
        try:
            _upgrade_sqlite(path_of(url))
        except sqlite3.Error as error:
            raise from_sqlite(error) from error
        return

    asyncio.run(upgrade_postgres(url, _is_newest, script))


def _is_newest(version: str | None) -> bool:
    known = versions()
    if version is not None and version not in known:
        raise StoreError(f"the database has version {version}, newer than this program's {known[-1]}")
    return version == known[-1]


# --- SQLite ---------------------------------------------------------------------------------------------------------


def _upgrade_sqlite(path: Path) -> None:
    # For its owner only: it holds hashes of secrets. SQLite gives its -wal and -shm the same mode.
    with contextlib.suppress(FileExistsError, OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        if not _is_newest(_sqlite_version(connection)):
            connection.execute("PRAGMA journal_mode=WAL")
            _run_on_sqlite(connection)
    finally:
        connection.close()  # rolls back what was not committed


def _sqlite_version(connection: sqlite3.Connection) -> str | None:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute(READ_VERSION).fetchone() if there else None
    return None if row is None else str(row[0])


def make_sqlite(path: Path, version: str) -> sqlite3.Connection:
    """A new file, open. Raises sqlite3.Error, FileExistsError."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _run_on_sqlite(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _run_on_sqlite(connection: sqlite3.Connection, version: str = "head") -> None:
    import sqlalchemy as sa
    from alembic import command

    # Batch mode replaces tables, which must not delete what refers to them; the check below makes up for it.
    connection.execute("PRAGMA foreign_keys=OFF")
    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.pool.StaticPool)
    with engine.connect() as borrowed, borrowed.begin():
        # pysqlite's own BEGIN comes late and takes no lock. Alembic commits nothing of what was begun outside.
        borrowed.exec_driver_sql("BEGIN IMMEDIATE")
        if _is_newest(_sqlite_version(connection)):
            return
        config = _config()
        config.attributes["connection"] = borrowed
        command.upgrade(config, version)
        if broken := connection.execute("PRAGMA foreign_key_check").fetchall():
            raise StoreError(f"the upgrade would leave {len(broken)} rows without what they refer to")


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def script(version: str | None, to: str = "head") -> str:
    from alembic import command

    buffer = io.StringIO()
    config = _config(buffer)
    config.attributes["dialect"] = "postgresql"
    command.upgrade(config, f"{version}:{to}" if version else to, sql=True)
    return buffer.getvalue()


# --- both -----------------------------------------------------------------------------------------------------------


def _config(buffer: io.StringIO | None = None) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=buffer) if buffer is not None else Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def draft(message: str) -> None:
    """The difference between `db.schema` and a fresh database."""
    import sqlalchemy as sa
    from alembic import command

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scratch.sqlite3"
        _upgrade_sqlite(path)
        with sa.create_engine(f"sqlite:///{path}").connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=f"{int(versions()[-1]) + 1:04}")


def main(arguments: list[str]) -> int:
    if len(arguments) == 2 and arguments[0] == "--new":
        draft(arguments[1])
    elif len(arguments) == 1:
        upgrade(arguments[0])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


IsNewest = Callable[[str | None], bool]
Script = Callable[[str | None], str]


WAIT_S = 60.0
"""For another process's upgrade, and for a step of ours."""
_LOCK = 0x6D7972766D  # "myrvm"


async def upgrade_postgres(dsn: str, is_newest: IsNewest, script: Script) -> None:
    """Unless it is the newest already. Raises StoreError."""
    try:
        await _upgrade(dsn, is_newest, script)
    except FAILURES as error:
        raise from_postgres(error) from error


async def _upgrade(dsn: str, is_newest: IsNewest, script: Script) -> None:
    connection = await asyncpg.connect(dsn, timeout=4, command_timeout=4)
    try:
        if is_newest(await _postgres_version(connection)):
            return
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", timeout=WAIT_S)
            version = await _postgres_version(connection)
            if not is_newest(version):
                await connection.execute(script(version), timeout=WAIT_S)
    finally:
        connection.terminate()


async def _postgres_version(connection: asyncpg.Connection) -> str | None:
    there = await connection.fetchval("SELECT to_regclass('alembic_version')::text")
    version = await connection.fetchval(READ_VERSION) if there else None
    return None if version is None else str(version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
