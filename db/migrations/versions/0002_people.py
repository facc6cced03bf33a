"""The people, how they sign in, and the user's tables of time zones, sessions and backups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_timezones",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(length=100), nullable=False),
        sa.Column("current_timezone", sa.String(length=100), nullable=False),
        sa.Column("country", sa.String(length=100)),
        sa.Column("city", sa.String(length=100)),
        sa.Column("last_sync", UtcTimestamp()),
        sa.Column("sync_status", sa.String(length=20), server_default="active", nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_timezones")),
        sa.UniqueConstraint("device_id", name=op.f("uq_device_timezones_device_id")),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcTimestamp(), nullable=False),
        sa.Column("locked_until", UtcTimestamp()),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_sign_in_failures")),
    )
    op.create_table(
        "timezone_sync_logs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(length=100), nullable=False),
        sa.Column("timezone", sa.String(length=100), nullable=False),
        sa.Column("country", sa.String(length=100)),
        sa.Column("city", sa.String(length=100)),
        sa.Column("ip_address", sa.String(length=64)),
        sa.Column("sync_method", sa.String(length=20), nullable=False),
        sa.Column("sync_timestamp", UtcTimestamp(), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timezone_sync_logs")),
    )
    op.create_index(op.f("ix_timezone_sync_logs_device_id"), "timezone_sync_logs", ["device_id"])
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=200)),
        sa.Column("language", sa.String(length=5)),
        sa.Column("theme", sa.String(length=10)),
        sa.Column("disabled_at", UtcTimestamp()),
        sa.Column("last_sign_in_at", UtcTimestamp()),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'operator', 'technician', 'viewer')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "backup_logs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("backup_type", sa.String(length=20), nullable=False),
        sa.Column("file_path", sa.String(length=500)),
        sa.Column("file_size", sa.BigInteger()),
        sa.Column("upload_status", sa.String(length=20), server_default="pending", nullable=False),
        sa.Column("minio_path", sa.String(length=500)),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_backup_logs_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_logs")),
    )
    op.create_index(op.f("ix_backup_logs_rvm_id"), "backup_logs", ["rvm_id"])
    op.create_table(
        "remote_access_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("admin_id", sa.Integer()),
        sa.Column("start_time", UtcTimestamp(), nullable=False),
        sa.Column("end_time", UtcTimestamp()),
        sa.Column("status", sa.String(length=20), server_default="active", nullable=False),
        sa.Column("ip_address", sa.String(length=64)),
        sa.Column("port", sa.Integer()),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(["admin_id"], ["users.id"], name=op.f("fk_remote_access_sessions_admin_id_users")),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_remote_access_sessions_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_access_sessions")),
    )
    op.create_index(op.f("ix_remote_access_sessions_rvm_id"), "remote_access_sessions", ["rvm_id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("expires_at", UtcTimestamp(), nullable=False),
        sa.Column("ip", sa.String(length=64)),
        sa.Column("user_agent", sa.String(length=300)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("hash", name=op.f("uq_sessions_hash")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])
    op.create_table(
        "sign_in_links",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcTimestamp(), nullable=False),
        sa.Column("used_at", UtcTimestamp()),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sign_in_links_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sign_in_links")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("expires_at", UtcTimestamp()),
        sa.Column("last_used_at", UtcTimestamp()),
        sa.Column("last_used_ip", sa.String(length=64)),
        sa.Column("revoked_at", UtcTimestamp()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("prefix", name=op.f("uq_tokens_prefix")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"])
    op.create_table(
        "user_machines",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_user_machines_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_machines_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "rvm_id", name=op.f("pk_user_machines")),
    )


def downgrade() -> None:
    op.drop_table("user_machines")
    op.drop_table("tokens")
    op.drop_table("sign_in_links")
    op.drop_table("sessions")
    op.drop_table("remote_access_sessions")
    op.drop_table("backup_logs")
    op.drop_table("users")
    op.drop_table("timezone_sync_logs")
    op.drop_table("sign_in_failures")
    op.drop_table("device_timezones")
