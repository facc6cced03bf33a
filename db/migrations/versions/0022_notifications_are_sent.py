"""Notifications are sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INDEXED = ("destination_id", "open", "state", "created_at")


def upgrade() -> None:
    op.create_table(
        "notification_destinations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("address", sa.String(length=6000), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("timezone", sa.String(length=100), nullable=False),
        sa.Column("kinds", sa.JSON(none_as_null=True)),
        sa.Column("tags", sa.JSON(none_as_null=True)),
        sa.Column("sites", sa.JSON(none_as_null=True)),
        sa.Column("after_s", sa.Integer(), nullable=False),
        sa.Column("also_over", sa.Boolean(), nullable=False),
        sa.Column("remind_h", sa.Integer()),
        sa.Column("quiet_from", sa.Integer()),
        sa.Column("quiet_to", sa.Integer()),
        sa.Column("per_hour", sa.Integer(), nullable=False),
        sa.Column("disabled_at", UtcTimestamp()),
        sa.Column("failing_since", UtcTimestamp()),
        sa.Column("fault", sa.JSON(none_as_null=True)),
        sa.Column("last_sent_at", UtcTimestamp()),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("updated_at", UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_destinations")),
        sa.UniqueConstraint("name", name=op.f("uq_notification_destinations_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("destination_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("rvm_id", sa.Integer()),
        sa.Column("params", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("next_at", UtcTimestamp(), nullable=False),
        sa.Column("sent_at", UtcTimestamp()),
        sa.Column("reminded_at", UtcTimestamp()),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["notification_destinations.id"],
            name=op.f("fk_notifications_destination_id_notification_destinations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("destination_id", "key", name=op.f("uq_notifications_destination_id_key")),
        sqlite_autoincrement=True,
    )
    for column in INDEXED:
        op.create_index(op.f(f"ix_notifications_{column}"), "notifications", [column])


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_table("notification_destinations")
