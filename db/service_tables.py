"""The user's tables of time zones, remote access and backups; part of `db.schema`, which imports them."""

from __future__ import annotations

import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.metadata import machine_column, metadata

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
)

remote_access_sessions = sa.Table(
    "remote_access_sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("admin_id", sa.ForeignKey("users.id")),
    sa.Column("start_time", UtcTimestamp, nullable=False),
    sa.Column("end_time", UtcTimestamp),
    sa.Column("status", sa.String(20), nullable=False, server_default="active"),
    sa.Column("ip_address", sa.String(64)),
    sa.Column("port", sa.Integer),
    sa.Column("created_at", UtcTimestamp, nullable=False),
)

backup_logs = sa.Table(
    "backup_logs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("backup_type", sa.String(20), nullable=False),
    sa.Column("file_path", sa.String(500)),
    sa.Column("file_size", sa.BigInteger),
    sa.Column("upload_status", sa.String(20), nullable=False, server_default="pending"),
    sa.Column("minio_path", sa.String(500)),
    sa.Column("created_at", UtcTimestamp, nullable=False),
)
