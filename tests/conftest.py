"""What every test may ask for by name; the fixtures themselves are in tests/support."""

from __future__ import annotations

pytest_plugins = ["tests.support.database_fixtures"]
