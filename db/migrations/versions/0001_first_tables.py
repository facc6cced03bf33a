"""The first tables: machines, their samples, commands and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTimestamp(), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("rvm_id", sa.Integer()),
        sa.Column("params", JSON, nullable=False),
        sa.Column("before", JSON),
        sa.Column("after", JSON),
        sa.Column("boot_id", sa.String(length=100)),
        sa.Column("seq", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("rvm_id", "boot_id", "seq", name=op.f("uq_events_rvm_id_boot_id_seq")),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"])
    op.create_index("ix_events_rvm_id_at", "events", ["rvm_id", "at"])
    op.create_table(
        "reverse_vending_machines",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("location_description", sa.String(length=500)),
        sa.Column("status", sa.String(length=20), server_default="active", nullable=False),
        sa.Column("special_status", sa.String(length=20)),
        sa.Column("capacity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status_since", UtcTimestamp(), nullable=False),
        sa.Column("status_by", sa.String(length=120), nullable=False),
        sa.Column("status_reason", sa.String(length=500)),
        sa.Column("status_until", UtcTimestamp()),
        sa.Column("api_key", sa.String(length=64)),
        sa.Column("api_key_prefix", sa.String(length=20)),
        sa.Column("simulated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("agent_version", sa.String(length=100)),
        sa.Column("boot_id", sa.String(length=100)),
        sa.Column("capabilities", JSON),
        sa.Column("hardware", JSON),
        sa.Column("timezone", sa.String(length=100)),
        sa.Column("config_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("clock_offset_s", sa.Float()),
        sa.Column("last_seen_at", UtcTimestamp()),
        sa.Column("last_ip", sa.String(length=64)),
        sa.Column("farewell", sa.String(length=20)),
        sa.Column("connection_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.CheckConstraint(
            "special_status IN ('maintenance', 'inactive', 'error', 'unknown')",
            name=op.f("ck_reverse_vending_machines_special_status"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'inactive', 'maintenance', 'full', 'error', 'unknown')",
            name=op.f("ck_reverse_vending_machines_status"),
        ),
        sa.CheckConstraint("capacity BETWEEN 0 AND 100", name=op.f("ck_reverse_vending_machines_capacity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reverse_vending_machines")),
        sa.UniqueConstraint("api_key", name=op.f("uq_reverse_vending_machines_api_key")),
        sa.UniqueConstraint("api_key_prefix", name=op.f("uq_reverse_vending_machines_api_key_prefix")),
        sa.UniqueConstraint("device_id", name=op.f("uq_reverse_vending_machines_device_id")),
        sa.UniqueConstraint("name", name=op.f("uq_reverse_vending_machines_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "system_metrics",
        sa.Column("rvm_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("timestamp", UtcTimestamp(), nullable=False),
        sa.Column("boot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(cache=1000), nullable=False),
        sa.Column("cpu_usage", sa.Float()),
        sa.Column("memory_usage", sa.Float()),
        sa.Column("disk_usage", sa.Float()),
        sa.Column("gpu_usage", sa.Float()),
        sa.Column("temperature", sa.Float()),
        sa.Column("network_rx_bytes_s", sa.Float()),
        sa.Column("network_tx_bytes_s", sa.Float()),
        sa.Column("uptime_s", sa.Float()),
        sa.Column("power_w", sa.Float()),
        sa.Column("throttled", sa.Boolean()),
        sa.Column("clamped", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("rvm_id", "timestamp", "boot", "seq", name=op.f("pk_system_metrics")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("args", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("issued_by", sa.String(length=120), nullable=False),
        sa.Column("issued_at", UtcTimestamp(), nullable=False),
        sa.Column("expires_at", UtcTimestamp(), nullable=False),
        sa.Column("sent_at", UtcTimestamp()),
        sa.Column("finished_at", UtcTimestamp()),
        sa.Column("progress", JSON),
        sa.Column("result", JSON),
        sa.Column("error", JSON),
        sa.Column("idempotency_key", sa.String(length=100)),
        sa.CheckConstraint(
            "state IN ('queued', 'sent', 'accepted', 'running', "
            "'succeeded', 'failed', 'rejected', 'expired', 'cancelled')",
            name=op.f("ck_commands_state"),
        ),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_commands_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
        sa.UniqueConstraint("rvm_id", "idempotency_key", name=op.f("uq_commands_rvm_id_idempotency_key")),
    )
    op.create_index(op.f("ix_commands_rvm_id"), "commands", ["rvm_id"])
    op.create_index("ix_commands_state_expires_at", "commands", ["state", "expires_at"])
    op.create_table(
        "machine_boots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("boot_id", sa.String(length=100), nullable=False),
        sa.Column("last_seq", sa.BigInteger()),
        sa.Column("first_seen_at", UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_machine_boots_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_boots")),
        sa.UniqueConstraint("rvm_id", "boot_id", name=op.f("uq_machine_boots_rvm_id_boot_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "status_history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("special_status", sa.String(length=20)),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("since", UtcTimestamp(), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500)),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_status_history_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_history")),
    )
    op.create_index(op.f("ix_status_history_rvm_id"), "status_history", ["rvm_id"])
    op.create_index("ix_status_history_rvm_id_since", "status_history", ["rvm_id", "since"])


def downgrade() -> None:
    op.drop_table("status_history")
    op.drop_table("machine_boots")
    op.drop_table("commands")
    op.drop_table("system_metrics")
    op.drop_table("reverse_vending_machines")
    op.drop_table("events")
    op.drop_table("counters")
