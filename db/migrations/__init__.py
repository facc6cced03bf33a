"""Alembic's folder: how the schema came to be, one file a step, applied by `db.engine.migrate`."""
