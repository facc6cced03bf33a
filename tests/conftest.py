"""What every test may ask for by name; the fixtures themselves are in tests/support."""

from __future__ import annotations

import gc
import os
import sys

pytest_plugins = ["tests.support.database_fixtures"]

# Who runs them may have switched compiled files off, as images do: then each worker, and each of the hundreds of
# processes that the tests start, would compile all of the product anew. Three seconds a process, fifteen a worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """What is here now lives as long as the process: a collector that walks over it at each turn takes a fourth of the
    processor of tests that start hubs. Cycles of a test are still found, the youngest first."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
