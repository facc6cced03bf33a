"""The ledger's groups and cancellations, configuration, and what a time zone report tells."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fleet_config",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("values", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_by", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fleet_config")),
    )
    op.create_table(
        "machine_configs",
        sa.Column("rvm_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("values", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_by", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_machine_configs_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rvm_id", name=op.f("pk_machine_configs")),
    )
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.add_column(sa.Column("group_id", sa.String(length=100)))
        batch_op.add_column(sa.Column("reason", sa.String(length=500)))
        batch_op.add_column(sa.Column("cancel_by", sa.String(length=120)))
        batch_op.add_column(sa.Column("cancel_at", UtcTimestamp()))
        batch_op.create_index(batch_op.f("ix_commands_group_id"), ["group_id"], unique=False)
        batch_op.create_index("ix_commands_issued_at", ["issued_at"], unique=False)

    with op.batch_alter_table("device_timezones", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sync_method", sa.String(length=20)))
        batch_op.add_column(sa.Column("source", sa.String(length=20)))
        batch_op.add_column(sa.Column("guess", sa.String(length=100)))
        batch_op.add_column(sa.Column("system_timezone", sa.String(length=100)))
        batch_op.add_column(sa.Column("error", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("restart", sa.JSON(none_as_null=True)))

    with op.batch_alter_table("reverse_vending_machines", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status_before", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("config_errors", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("config_applied_at", UtcTimestamp()))
        batch_op.add_column(sa.Column("ntp", sa.Boolean()))
        batch_op.add_column(sa.Column("quarantined_until", UtcTimestamp()))

    with op.batch_alter_table("status_history", schema=None) as batch_op:
        batch_op.add_column(sa.Column("until", UtcTimestamp()))

    with op.batch_alter_table("timezone_sync_logs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sync_status", sa.String(length=20), server_default="active", nullable=False))
        batch_op.add_column(sa.Column("previous_timezone", sa.String(length=100)))
        batch_op.add_column(sa.Column("source", sa.String(length=20)))
        batch_op.add_column(sa.Column("error", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("clock_offset_s", sa.Float()))
        batch_op.create_unique_constraint(
            batch_op.f("uq_timezone_sync_logs_device_id_sync_timestamp_sync_method"),
            ["device_id", "sync_timestamp", "sync_method"],
        )


def downgrade() -> None:
    with op.batch_alter_table("timezone_sync_logs", schema=None) as batch_op:
        batch_op.drop_constraint(
            batch_op.f("uq_timezone_sync_logs_device_id_sync_timestamp_sync_method"), type_="unique"
        )
        batch_op.drop_column("clock_offset_s")
        batch_op.drop_column("error")
        batch_op.drop_column("source")
        batch_op.drop_column("previous_timezone")
        batch_op.drop_column("sync_status")

    with op.batch_alter_table("status_history", schema=None) as batch_op:
        batch_op.drop_column("until")

    with op.batch_alter_table("reverse_vending_machines", schema=None) as batch_op:
        batch_op.drop_column("quarantined_until")
        batch_op.drop_column("ntp")
        batch_op.drop_column("config_applied_at")
        batch_op.drop_column("config_errors")
        batch_op.drop_column("status_before")

    with op.batch_alter_table("device_timezones", schema=None) as batch_op:
        batch_op.drop_column("restart")
        batch_op.drop_column("error")
        batch_op.drop_column("system_timezone")
        batch_op.drop_column("guess")
        batch_op.drop_column("source")
        batch_op.drop_column("sync_method")

    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.drop_index("ix_commands_issued_at")
        batch_op.drop_index(batch_op.f("ix_commands_group_id"))
        batch_op.drop_column("cancel_at")
        batch_op.drop_column("cancel_by")
        batch_op.drop_column("reason")
        batch_op.drop_column("group_id")

    op.drop_table("machine_configs")
    op.drop_table("fleet_config")
