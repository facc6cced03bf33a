"""The services' tables: time zones, configuration, remote access, recordings, backups, notifications; part of
`db.schema`. A recording is evidence: it names machine, session and person without foreign keys and keeps the names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.metadata import JSON, NEVER_REUSED, machine_column, metadata

timezone_sync_logs = sa.Table(
    "timezone_sync_logs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.String(100), nullable=False, index=True),
    sa.Column("timezone", sa.String(100), nullable=False),
    sa.Column("country", sa.String(100)),
    sa.Column("city", sa.String(100)),
    sa.Column("ip_address", sa.String(64)),
    sa.Column("sync_method", sa.String(20), nullable=False),
    sa.Column("sync_timestamp", UtcTimestamp, nullable=False),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    # active (in force), failed (found, but not set: error says why).
    sa.Column("sync_status", sa.String(20), nullable=False, server_default="active"),
    sa.Column("previous_timezone", sa.String(100)),
    sa.Column("source", sa.String(20)),
    sa.Column("error", JSON),
    sa.Column("clock_offset_s", sa.Float),
    # A report that is repeated after a reconnect is one row.
    sa.UniqueConstraint("device_id", "sync_timestamp", "sync_method"),
)

device_timezones = sa.Table(
    "device_timezones",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.String(100), nullable=False, unique=True),
    sa.Column("current_timezone", sa.String(100), nullable=False),
    sa.Column("country", sa.String(100)),
    sa.Column("city", sa.String(100)),
    sa.Column("last_sync", UtcTimestamp),
    sa.Column("sync_status", sa.String(20), nullable=False, server_default="active"),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("updated_at", UtcTimestamp, nullable=False),
    sa.Column("sync_method", sa.String(20)),
    sa.Column("source", sa.String(20)),
    # What a look-up answered when it differs from the zone an operator has pinned.
    sa.Column("guess", sa.String(100)),
    sa.Column("system_timezone", sa.String(100)),
    sa.Column("error", JSON),
    # Names of the services that still run with the old zone.
    sa.Column("restart", JSON),
)


def _written() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("values", JSON, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("updated_at", UtcTimestamp, nullable=False),
        sa.Column("updated_by", sa.String(120), nullable=False),
    )


# The dynamic settings that differ from the defaults: for all machines, and for one. `version` grows with every write,
# and what a machine runs is the larger of the two.
fleet_config = sa.Table(
    "fleet_config",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    *_written(),
)

machine_configs = sa.Table(
    "machine_configs",
    metadata,
    sa.Column(
        "rvm_id",
        sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    *_written(),
)

remote_access_sessions = sa.Table(
    "remote_access_sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    # Who is removed leaves the name behind.
    sa.Column("admin_id", sa.ForeignKey("users.id", ondelete="SET NULL")),
    sa.Column("start_time", UtcTimestamp, nullable=False),
    sa.Column("end_time", UtcTimestamp),
    # requested (waits for approval), starting, active, ended, refused.
    sa.Column("status", sa.String(20), nullable=False, server_default="active", index=True),
    sa.Column("ip_address", sa.String(64)),
    sa.Column("port", sa.Integer),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("admin_name", sa.String(200)),
    sa.Column("reason", sa.String(500)),
    sa.Column("duration_s", sa.Float),
    sa.Column("expires_at", UtcTimestamp),
    # Names of db.records.SESSION_PARTS; declared loopback ports.
    sa.Column("allow", JSON),
    sa.Column("ports", JSON),
    sa.Column("origin", sa.String(20), nullable=False, server_default="hub"),
    sa.Column("approved_by", sa.String(120)),
    sa.Column("approved_at", UtcTimestamp),
    sa.Column("ended_by", sa.String(120)),
    sa.Column("end_reason", sa.String(100)),
    sa.Column("command_id", sa.String(100)),
)

backup_logs = sa.Table(
    "backup_logs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("backup_type", sa.String(20), nullable=False),
    # The key in the object store; the bucket's and the object's name where that is S3.
    sa.Column("file_path", sa.String(500)),
    sa.Column("file_size", sa.BigInteger),
    # pending, uploading, completed (whole, as the machine made it), verified (restored and compared), failed.
    sa.Column("upload_status", sa.String(20), nullable=False, server_default="pending", index=True),
    sa.Column("minio_path", sa.String(500)),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    # manual, schedule, safety (before a restore), upload (by a simple client).
    sa.Column("trigger", sa.String(20), nullable=False, server_default="manual"),
    sa.Column("requested_by", sa.String(120)),
    sa.Column("command_id", sa.String(100), index=True),
    sa.Column("parent_id", sa.Integer),
    sa.Column("chain_id", sa.Integer),
    sa.Column("chain_position", sa.Integer),
    sa.Column("include_images", sa.Boolean),
    sa.Column("include_logs", sa.Boolean),
    sa.Column("compression", sa.String(20)),
    sa.Column("encrypted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sha256", sa.String(64)),
    # The store's name for an upload that is not complete, and the size of its parts.
    sa.Column("upload_id", sa.String(500)),
    sa.Column("part_size", sa.Integer),
    sa.Column("started_at", UtcTimestamp),
    sa.Column("completed_at", UtcTimestamp),
    sa.Column("verified_at", UtcTimestamp),
    sa.Column("drill_at", UtcTimestamp),
    sa.Column("drill_error", JSON),
    sa.Column("error", JSON),
    sa.Column("files", sa.Integer),
    sa.Column("bytes_total", sa.BigInteger),
    sa.Column("entries", sa.Integer),
    sa.Column("deleted_entries", sa.Integer),
    sa.Column("report", JSON),
    sa.Column("manifest_key", sa.String(200)),
    sa.Column("expires_at", UtcTimestamp),
    # Its file is gone; the row stays for a while.
    sa.Column("deleted_at", UtcTimestamp),
)

backup_parts = sa.Table(
    "backup_parts",
    metadata,
    sa.Column("backup_id", sa.ForeignKey("backup_logs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("tag", sa.String(200), nullable=False),
)

backup_restores = sa.Table(
    "backup_restores",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("backup_id", sa.Integer, nullable=False),
    sa.Column("safety_backup_id", sa.Integer),
    sa.Column("command_id", sa.String(100), index=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("classes", JSON),
    sa.Column("paths", JSON),
    sa.Column("requested_by", sa.String(120), nullable=False),
    sa.Column("reason", sa.String(500)),
    sa.Column("result", JSON),
    sa.Column("error", JSON),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("finished_at", UtcTimestamp),
    **NEVER_REUSED,
)


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

# A one-time code lets a machine ask for a place in the fleet. Only its hash is kept.
enrolment_codes = sa.Table(
    "enrolment_codes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(20), nullable=False),
    sa.Column("name", sa.String(100)),
    # The machine whose key it replaces; without one each use adds a machine.
    sa.Column("rvm_id", sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"), index=True),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("used", sa.Integer, nullable=False, server_default="0"),
    # at_once, waiting (for a person).
    sa.Column("approval", sa.String(20), nullable=False),
    sa.Column("created_by", sa.String(120), nullable=False),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("expires_at", UtcTimestamp, nullable=False),
    sa.Column("revoked_at", UtcTimestamp),
    **NEVER_REUSED,
)

# What came with a code. Without foreign keys but to the machine: a code goes with its time.
enrolments = sa.Table(
    "enrolments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("code_id", sa.Integer, nullable=False, index=True),
    sa.Column("rvm_id", sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"), index=True),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    # Of the key that the machine made for itself; the hash is the machine's api_key from its approval on.
    sa.Column("key_prefix", sa.String(20), nullable=False, unique=True),
    sa.Column("key_hash", sa.String(64), nullable=False),
    sa.Column("hostname", sa.String(100)),
    sa.Column("model", sa.String(100)),
    sa.Column("board_serial", sa.String(100)),
    sa.Column("machine_id", sa.String(64)),
    sa.Column("agent_version", sa.String(100)),
    sa.Column("architecture", sa.String(100)),
    sa.Column("os", sa.String(100)),
    sa.Column("l4t", sa.String(100)),
    sa.Column("ip_address", sa.String(64)),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("last_seen_at", UtcTimestamp, nullable=False),
    sa.Column("decided_by", sa.String(120)),
    sa.Column("decided_at", UtcTimestamp),
    **NEVER_REUSED,
)

# Where trouble is sent to. `address` is sealed: what it opens, the database does not hold.
notification_destinations = sa.Table(
    "notification_destinations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(60), nullable=False, unique=True),
    sa.Column("place", sa.String(300), nullable=False),
    sa.Column("address", sa.String(6000), nullable=False),
    sa.Column("language", sa.String(5), nullable=False),
    sa.Column("timezone", sa.String(100), nullable=False),
    sa.Column("kinds", JSON),
    sa.Column("causes", JSON),
    sa.Column("tags", JSON),
    sa.Column("sites", JSON),
    sa.Column("after_s", sa.Integer, nullable=False),
    sa.Column("also_over", sa.Boolean, nullable=False),
    sa.Column("remind_h", sa.Integer),
    sa.Column("quiet_from", sa.Integer),
    sa.Column("quiet_to", sa.Integer),
    sa.Column("per_hour", sa.Integer, nullable=False),
    sa.Column("disabled_at", UtcTimestamp),
    sa.Column("failing_since", UtcTimestamp),
    sa.Column("fault", JSON),
    sa.Column("last_sent_at", UtcTimestamp),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("updated_at", UtcTimestamp, nullable=False),
    **NEVER_REUSED,
)

# The outbox: a row is committed before anything is sent, and says what became of it.
notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column(
        "destination_id", sa.ForeignKey("notification_destinations.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    # Without a foreign key: that a machine is back, or was removed, is a message too.
    sa.Column("rvm_id", sa.Integer),
    sa.Column("params", JSON, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False, index=True),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", UtcTimestamp, nullable=False, index=True),
    sa.Column("next_at", UtcTimestamp, nullable=False),
    sa.Column("sent_at", UtcTimestamp),
    sa.Column("reminded_at", UtcTimestamp),
    sa.Column("error", JSON),
    sa.UniqueConstraint("destination_id", "key"),
    **NEVER_REUSED,
)
