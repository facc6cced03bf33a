"""What every test may ask for by name; the fixtures themselves are in tests/support."""

from __future__ import annotations

import os
import sys

pytest_plugins = ["tests.support.database_fixtures"]

# Who runs them may have switched compiled files off, as images do: then each worker, and each of the hundreds of
# processes that the tests start, would compile all of the product anew. Three seconds a process, fifteen a worker.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
