"""Migrations make exactly the tables of `db.schema`, on both databases, whoever starts them and however often."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from db.columns import to_microseconds
from db.engine import migrate
from db.errors import StoreError, Unavailable
from db.schema import metadata
from db.schema import reverse_vending_machines as machines
from tests.support.postgres import Databases

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_postgres(postgres_databases: Databases) -> Iterator[str]:
    name = postgres_databases.create()
    yield postgres_databases.url(name)
    postgres_databases.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fresh.sqlite3"
    url: str = request.getfixturevalue("empty_postgres")
    return url


def on_a_connection(url: str, work: Callable[[sa.Connection], Any]) -> Any:
    """Do something through SQLAlchemy's own engines (on PostgreSQL they need greenlet, which the product does not)."""
    if url.startswith("sqlite"):
        with sa.create_engine(url).begin() as connection:
            return work(connection)

    async def through_asyncpg() -> Any:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(through_asyncpg())


def differences(connection: sa.Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return [difference for difference in found if not _is_the_identity_sqlite_lacks(connection, difference)]


def _is_the_identity_sqlite_lacks(connection: sa.Connection, difference: Any) -> bool:
    modified = difference[0][:4] if isinstance(difference, list) else ()
    return connection.dialect.name == "sqlite" and modified == ("modify_default", None, "system_metrics", "id")


def test_the_migrated_schema_is_the_declared_one(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, differences) == []


def sqlite_definitions(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: _definition(sql) for name, sql in rows if not name.startswith(("alembic", "sqlite"))}


def _definition(sql: str) -> str:
    """The parts of a CREATE statement sorted: their order means nothing, and a column added later stands last."""
    head, _, rest = re.sub(r"\s+", " ", sql).partition("(")
    body, _, tail = rest.rpartition(")")
    parts = sorted(part.strip() for part in re.split(r",(?![^(]*\))", body))
    return f"{head.replace(chr(34), '').strip()} ({', '.join(parts)}) {tail.strip()}"


def test_on_sqlite_both_give_the_same_definitions_word_for_word(tmp_path: Path) -> None:
    migrate.upgrade(f"sqlite:///{tmp_path}/migrated")
    metadata.create_all(sa.create_engine(f"sqlite:///{tmp_path}/declared"))
    migrated, declared = sqlite_definitions(tmp_path / "migrated"), sqlite_definitions(tmp_path / "declared")
    assert migrated == declared
    assert "WITHOUT ROWID" in migrated["system_metrics"]
    assert "AUTOINCREMENT" in migrated["reverse_vending_machines"]


POSTGRES_DEFINITIONS = """
    SELECT c.relname || ' ' || a.attname, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
        || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d
        ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'sequence ' || sequencename, cache_size::text FROM pg_sequences WHERE schemaname = 'public'
"""


def postgres_definitions(url: str) -> dict[str, str]:
    def read(connection: sa.Connection) -> dict[str, str]:
        rows = connection.exec_driver_sql(POSTGRES_DEFINITIONS)
        return {name: definition for name, definition in rows if "alembic" not in name}

    definitions: dict[str, str] = on_a_connection(url, read)
    return definitions


def test_on_postgresql_both_give_the_same_definitions(empty_postgres: str, postgres_databases: Databases) -> None:
    migrate.upgrade(empty_postgres)
    name = postgres_databases.create()
    try:
        declared = postgres_databases.url(name)
        on_a_connection(declared, metadata.create_all)
        assert postgres_definitions(empty_postgres) == postgres_definitions(declared)
    finally:
        postgres_databases.drop(name)


def test_upgrading_twice_changes_nothing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, differences) == []


def test_every_step_can_be_taken_by_itself_and_undone(tmp_path: Path) -> None:
    from alembic import command

    def step(connection: sa.Connection, to: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(ROOT / "db" / "migrations"))
        config.attributes["connection"] = connection
        (command.downgrade if to.startswith("-") else command.upgrade)(config, to)

    url = f"sqlite:///{tmp_path}/stepwise"
    for _ in migrate.versions():
        on_a_connection(url, lambda connection: step(connection, "+1"))
    assert on_a_connection(url, differences) == []
    for _ in migrate.versions():
        on_a_connection(url, lambda connection: step(connection, "-1"))
    assert sqlite_definitions(tmp_path / "stepwise") == {}


def test_a_database_of_an_older_version_is_brought_up(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def only_the_first(config: Config, revision: str, sql: bool = False) -> None:
        upgrade(config, "0001", sql)

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", only_the_first)
        migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, differences) != []
    migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, differences) == []


AT: Final = datetime(2026, 11, 1, 3, 4, 5, tzinfo=timezone.utc)
BEFORE_0012: Final = (
    ("error", None), ("active", "error"), ("active", None), ("error", "maintenance"), ("maintenance", None),
)  # fmt: skip
"""Status and special status."""


def test_a_machine_in_error_before_0012_has_been_so_since_its_status(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _, sql=False: upgrade(config, "0011", sql))
        migrate.upgrade(empty_url)

    def put(connection: sa.Connection) -> None:
        table = sa.Table("reverse_vending_machines", sa.MetaData(), autoload_with=connection)
        row = {"capacity": 0, "status_by": "system", "simulated": False, "connection_epoch": 0, "config_version": 0}
        times: dict[str, Any] = dict.fromkeys(("status_since", "created_at", "updated_at"), AT)
        if connection.dialect.name == "sqlite":
            times = {name: to_microseconds(at) for name, at in times.items()}
        for number, (status, special) in enumerate(BEFORE_0012, 1):
            named = {"device_id": f"dev-{number}", "name": f"RVM-{number}", "status": status, "special_status": special}
            connection.execute(sa.insert(table).values({**row, **times, **named}))

    on_a_connection(empty_url, put)
    migrate.upgrade(empty_url)
    rows = on_a_connection(
        empty_url,
        lambda connection: connection.execute(
            sa.select(machines.c.error_since, machines.c.status_since).order_by(machines.c.id)
        ).all(),
    )
    assert [row.error_since == row.status_since for row in rows] == [True, True, False, False, False]
    assert [row.error_since is None for row in rows] == [False, False, True, True, True]


def test_a_token_from_before_0025_keeps_all_that_its_owner_may(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _, sql=False: upgrade(config, "0024", sql))
        migrate.upgrade(empty_url)

    def put(connection: sa.Connection) -> None:
        at = to_microseconds(AT) if connection.dialect.name == "sqlite" else AT
        rows: dict[str, dict[str, Any]] = {
            "users": {"id": 1, "email": "a@b.c", "name": "A", "role": "admin", "created_at": at, "updated_at": at},
            "tokens": {"user_id": 1, "name": "x", "prefix": "rvmu_AAAAAAAA", "hash": "0" * 64, "created_at": at},
        }
        for name, row in rows.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            connection.execute(sa.insert(table).values(row))

    on_a_connection(empty_url, put)
    migrate.upgrade(empty_url)
    scope = sa.text("SELECT name, role, machines, tags FROM tokens")
    assert [tuple(row) for row in on_a_connection(empty_url, lambda c: c.execute(scope).all())] == [
        ("x", None, None, None)
    ]


def test_a_database_of_a_newer_program_is_left_alone(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    on_a_connection(empty_url, lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="9999"):
        migrate.upgrade(empty_url)


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    command = [sys.executable, "-m", "db.engine.migrate", empty_url]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    assert outcomes == [("", 0)] * 3
    assert on_a_connection(empty_url, differences) == []


def test_a_failed_upgrade_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def broken(config: Config, revision: str, sql: bool = False) -> None:
        upgrade(config, revision, sql)
        if sql:
            assert config.output_buffer is not None
            config.output_buffer.write("SELECT 1 / 0;")
        else:
            config.attributes["connection"].exec_driver_sql("SELECT * FROM nowhere")

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", broken)
        with pytest.raises((StoreError, sa.exc.OperationalError)):
            migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, lambda c: sa.inspect(c).get_table_names()) == []
    migrate.upgrade(empty_url)
    assert on_a_connection(empty_url, differences) == []


def test_file_names_give_the_newest_version() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "db" / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrate.versions()[-1]
    assert sorted(script.revision for script in scripts.walk_revisions()) == migrate.versions()


def test_nothing_to_do_needs_no_alembic_and_no_migration_needs_greenlet(empty_url: str) -> None:
    program = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from db.engine.migrate import upgrade\n"
        f"upgrade({empty_url!r}); assert 'alembic' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
    program = program.replace("assert 'alembic' in", "assert 'alembic' not in")
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_upgrading_leaves_logging_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("sqlalchemy").disabled)
    migrate.upgrade(f"sqlite:///{tmp_path}/quiet")
    assert (root.level, list(root.handlers), logging.getLogger("sqlalchemy").disabled) == before


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path, unused_tcp_port: int) -> None:
    for url in (f"sqlite:///{tmp_path}/no/folder/x", f"postgresql://a:b@127.0.0.1:{unused_tcp_port}/x"):
        with pytest.raises(Unavailable):
            migrate.upgrade(url)


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    migrate.upgrade(f"sqlite:///{tmp_path}/private")
    assert (tmp_path / "private").stat().st_mode & 0o077 == 0


async def test_a_wrong_password_is_unavailable_and_not_shown(postgres_databases: Databases) -> None:
    url = re.sub(r":[^:@/]+@", ":wrong-secret@", postgres_databases.admin_url)
    with pytest.raises(Unavailable) as caught:
        await asyncio.to_thread(migrate.upgrade, url)
    assert "wrong-secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, asyncpg.PostgresError)
