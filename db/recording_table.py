"""The table of the recordings of terminals; part of `db.schema`, which imports it.

A recording is evidence: it names its machine, session and person by id without foreign keys and keeps the names, so
that it outlives the three until retention takes it.
"""

from __future__ import annotations

import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.metadata import NEVER_REUSED, metadata

remote_recordings = sa.Table(
    "remote_recordings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("session_id", sa.Integer, nullable=False, index=True),
    sa.Column("rvm_id", sa.Integer, nullable=False, index=True),
    sa.Column("machine_name", sa.String(100), nullable=False),
    sa.Column("user_id", sa.Integer, nullable=False),
    sa.Column("user_name", sa.String(200), nullable=False),
    sa.Column("ip_address", sa.String(64)),
    sa.Column("reason", sa.String(500)),
    # recording (the terminal is open), waiting (finished, on the hub's own disk), stored (in the object store), lost.
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("started_at", UtcTimestamp, nullable=False, index=True),
    sa.Column("ended_at", UtcTimestamp),
    sa.Column("end_reason", sa.String(40)),
    sa.Column("duration_s", sa.Float),
    sa.Column("size", sa.BigInteger),
    sa.Column("sha256", sa.String(64)),
    sa.Column("object_key", sa.String(200)),
    sa.Column("input_recorded", sa.Boolean, nullable=False),
    sa.Column("cols", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    **NEVER_REUSED,
)
