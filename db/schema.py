"""Every table, once. A test compares Alembic's migrations. Instants are UTC. What authenticates is stored as a hash,
beside the prefix that finds it."""

from __future__ import annotations

import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.event_guard import guard
from db.metadata import JSON, NEVER_REUSED, machine_column, metadata
from db.service_tables import (  # fmt: skip
    backup_logs,
    backup_parts,
    backup_restores,
    device_timezones,
    enrolment_codes,
    enrolments,
    fleet_config,
    machine_configs,
    notification_destinations,
    notifications,
    remote_access_sessions,
    remote_recordings,
    timezone_sync_logs,
)

__all__ = [
    "COMMAND_STATES", "ROLES", "SPECIAL_STATUSES", "STATUSES", "backup_logs", "backup_parts", "backup_restores",
    "commands", "counters", "device_timezones", "enrolment_codes", "enrolments", "events",
    "fleet_config", "machine_boots", "machine_configs",
    "metadata", "notification_destinations", "notifications", "recovery_codes",
    "remote_access_sessions", "remote_recordings", "reverse_vending_machines", "saved_views",
    "sessions",
    "sign_in_failures", "sign_in_links", "status_history", "system_metrics", "timezone_sync_logs", "tokens",
    "troubles", "two_steps", "user_machines", "user_tags", "users",
]  # fmt: skip

STATUSES = ("active", "inactive", "maintenance", "full", "error", "unknown")
SPECIAL_STATUSES = ("maintenance", "inactive", "error", "unknown")
COMMAND_STATES = (
    "queued", "sent", "accepted", "running", "succeeded", "failed", "rejected", "expired", "cancelled",
)  # fmt: skip
ROLES = ("admin", "operator", "technician", "viewer")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(v) for v in values)})"


reverse_vending_machines = sa.Table(
    "reverse_vending_machines",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.String(100), nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("location_description", sa.String(500)),
    # Words of the operator's own, each once, in alphabetical order: hub.model.machine.
    sa.Column("tags", JSON),
    # WGS 84, both or none.
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
    sa.Column("status", sa.String(20), nullable=False, server_default="active"),
    sa.Column("special_status", sa.String(20)),
    sa.Column("capacity", sa.Integer, nullable=False, server_default="0"),
    sa.Column("status_since", UtcTimestamp, nullable=False),
    sa.Column("status_by", sa.String(120), nullable=False),
    sa.Column("status_reason", sa.String(500)),
    sa.Column("status_until", UtcTimestamp),
    # What the machine goes back to at status_until: {status, special_status, reason}.
    sa.Column("status_before", JSON),
    # Of an error that goes on while the machine is out of service.
    sa.Column("error_since", UtcTimestamp),
    sa.Column("api_key", sa.String(64), unique=True),
    sa.Column("api_key_prefix", sa.String(20), unique=True),
    # Of a key that is being renewed over the link: valid beside the one before until it is used.
    sa.Column("next_api_key", sa.String(64)),
    sa.Column("next_api_key_prefix", sa.String(20)),
    sa.Column("next_api_key_at", UtcTimestamp),
    # The board that the key belongs to, and a different one that used it:
    # {serial, machine_id, model, hostname, refused}.
    sa.Column("board", JSON),
    sa.Column("board_other", JSON),
    sa.Column("board_other_at", UtcTimestamp),
    sa.Column("simulated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("agent_version", sa.String(100)),
    sa.Column("boot_id", sa.String(100)),
    sa.Column("capabilities", JSON),
    sa.Column("hardware", JSON),
    # The newest report of its board (protocol/board.py), and when it came.
    sa.Column("board_report", JSON),
    sa.Column("board_report_at", UtcTimestamp),
    sa.Column("timezone", sa.String(100)),
    # The version of the configuration that the machine runs, and what of it it could not take: {key: why}.
    sa.Column("config_version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("config_errors", JSON),
    sa.Column("config_applied_at", UtcTimestamp),
    # What the machine's own file and environment set, as it says itself: {key: value}.
    sa.Column("config_own", JSON),
    sa.Column("clock_offset_s", sa.Float),
    sa.Column("ntp", sa.Boolean),
    # Two holders of one key fight: nobody gets in until then.
    sa.Column("quarantined_until", UtcTimestamp),
    sa.Column("last_seen_at", UtcTimestamp),
    sa.Column("last_ip", sa.String(64)),
    sa.Column("close_reason", sa.String(20)),
    # Fences which link (and later which hub) speaks for the machine: it grows with every hello.
    sa.Column("connection_epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("updated_at", UtcTimestamp, nullable=False),
    sa.CheckConstraint(_one_of("status", STATUSES), name="status"),
    sa.CheckConstraint(_one_of("special_status", SPECIAL_STATUSES), name="special_status"),
    sa.CheckConstraint("capacity BETWEEN 0 AND 100", name="capacity"),
    **NEVER_REUSED,
)

status_history = sa.Table(
    "status_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("special_status", sa.String(20)),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("since", UtcTimestamp, nullable=False),
    sa.Column("by", sa.String(120), nullable=False),
    sa.Column("reason", sa.String(500)),
    sa.Column("until", UtcTimestamp),
    sa.Index("ix_status_history_rvm_id_since", "rvm_id", "since"),
)

machine_boots = sa.Table(
    "machine_boots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rvm_id", sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"), nullable=False),
    sa.Column("boot_id", sa.String(100), nullable=False),
    # Every kept sample of this boot up to last_seq is committed (or was never sent). Written with the samples, in
    # their transaction; it is what de-duplicates on (machine, boot_id, seq).
    sa.Column("last_seq", sa.BigInteger),
    # A hello, or samples by REST after those of another boot. The boots used last are kept.
    sa.Column("last_used_at", UtcTimestamp, nullable=False),
    sa.UniqueConstraint("rvm_id", "boot_id"),
    **NEVER_REUSED,
)

# No foreign keys here: they would be checked for every sample. Removing a machine removes its samples explicitly.
# boot and seq are 0 for samples that came by REST without them; the key then de-duplicates on the timestamp.
system_metrics = sa.Table(
    "system_metrics",
    metadata,
    sa.Column("rvm_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("timestamp", UtcTimestamp, primary_key=True),
    sa.Column("boot", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    # Increasing and unique, with gaps. SQLite has no identity columns: its writer counts in `counters`.
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1000), nullable=False),
    sa.Column("cpu_usage", sa.Float),
    sa.Column("memory_usage", sa.Float),
    sa.Column("disk_usage", sa.Float),
    sa.Column("gpu_usage", sa.Float),
    sa.Column("temperature", sa.Float),
    sa.Column("network_rx_bytes_s", sa.Float),
    sa.Column("network_tx_bytes_s", sa.Float),
    sa.Column("uptime_s", sa.Float),
    sa.Column("power_w", sa.Float),
    sa.Column("throttled", sa.Boolean),
    # True when the machine's clock was more than 10 minutes ahead and the timestamp was clamped to the hub's.
    sa.Column("clamped", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sqlite_with_rowid=False,
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", sa.String(100), primary_key=True),
    machine_column(),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("args", JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("issued_by", sa.String(120), nullable=False),
    sa.Column("issued_at", UtcTimestamp, nullable=False),
    sa.Column("expires_at", UtcTimestamp, nullable=False),
    sa.Column("sent_at", UtcTimestamp),
    sa.Column("finished_at", UtcTimestamp),
    sa.Column("progress", JSON),
    sa.Column("result", JSON),
    sa.Column("error", JSON),
    sa.Column("idempotency_key", sa.String(100)),
    # One request for many machines: the same in each of its commands.
    sa.Column("group_id", sa.String(100), index=True),
    sa.Column("reason", sa.String(500)),
    # Who asked to stop it; the machine decides whether it still can.
    sa.Column("cancel_by", sa.String(120)),
    sa.Column("cancel_at", UtcTimestamp),
    sa.UniqueConstraint("rvm_id", "idempotency_key"),
    sa.Index("ix_commands_issued_at", "issued_at"),
    sa.Index("ix_commands_state_expires_at", "state", "expires_at"),
    sa.CheckConstraint(_one_of("state", COMMAND_STATES), name="state"),
)

# The record of it all. Codes and parameters, never sentences: each reader's language renders them. No foreign keys:
# an event outlives its machine and its actor.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", UtcTimestamp, nullable=False, index=True),
    sa.Column("code", sa.String(100), nullable=False),
    sa.Column("actor", sa.String(120), nullable=False),
    sa.Column("rvm_id", sa.Integer),
    sa.Column("params", JSON, nullable=False),
    sa.Column("before", JSON),
    sa.Column("after", JSON),
    # Only for events a machine reported: what makes a repeated report one event.
    sa.Column("boot_id", sa.String(100)),
    sa.Column("seq", sa.BigInteger),
    sa.UniqueConstraint("rvm_id", "boot_id", "seq"),
    sa.Index("ix_events_rvm_id_at", "rvm_id", "at"),
)
guard(events)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(200), nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("language", sa.String(5)),
    sa.Column("theme", sa.String(10)),
    sa.Column("timezone", sa.String(100)),
    sa.Column("disabled_at", UtcTimestamp),
    sa.Column("last_sign_in_at", UtcTimestamp),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("updated_at", UtcTimestamp, nullable=False),
    sa.CheckConstraint(_one_of("role", ROLES), name="role"),
    **NEVER_REUSED,
)

user_machines = sa.Table(
    "user_machines",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("rvm_id", sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"), primary_key=True),
)

user_tags = sa.Table(
    "user_tags",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.String(100), primary_key=True),
)

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("query", JSON, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("updated_at", UtcTimestamp, nullable=False),
    sa.UniqueConstraint("user_id", "name"),
    **NEVER_REUSED,
)

# When what was wrong with a machine began and ended, and who was on it. People by name, without foreign keys: what was
# done outlives who did it.
troubles = sa.Table(
    "troubles",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    machine_column(),
    sa.Column("cause", sa.String(40), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("began_at", UtcTimestamp, nullable=False),
    sa.Column("noticed_at", UtcTimestamp, nullable=False),
    sa.Column("ended_at", UtcTimestamp, index=True),
    sa.Column("owner_id", sa.Integer),
    sa.Column("owner", sa.String(100)),
    sa.Column("taken_at", UtcTimestamp),
    sa.Column("snoozed_until", UtcTimestamp),
    sa.Column("snoozed_by", sa.String(100)),
    sa.Column("note", sa.String(500)),
    sa.Column("note_by", sa.String(100)),
    sa.Column("note_at", UtcTimestamp),
    **NEVER_REUSED,
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("prefix", sa.String(20), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("expires_at", UtcTimestamp),
    sa.Column("last_used_at", UtcTimestamp),
    sa.Column("last_used_ip", sa.String(64)),
    sa.Column("revoked_at", UtcTimestamp),
    # What it is narrower by than its owner; null: by nothing. Ids and tags, not rows of a table: a machine that is
    # removed must leave a token that reaches none, not one that reaches all.
    sa.Column("role", sa.String(20)),
    sa.Column("machines", JSON),
    sa.Column("tags", JSON),
    **NEVER_REUSED,
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", UtcTimestamp, nullable=False),
    sa.Column("expires_at", UtcTimestamp, nullable=False),
    sa.Column("ip", sa.String(64)),
    sa.Column("user_agent", sa.String(300)),
    sa.Column("last_used_at", UtcTimestamp),
)

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", UtcTimestamp, nullable=False),
    sa.Column("used_at", UtcTimestamp),
)

# What the codes of a person's app are computed from, sealed; codes up to last_step count no more.
two_steps = sa.Table(
    "two_steps",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("secret", sa.String(500), nullable=False),
    sa.Column("since", UtcTimestamp, nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Also for addresses that belong to no user, so that a lock does not reveal who exists.
sign_in_failures = sa.Table(
    "sign_in_failures",
    metadata,
    sa.Column("email", sa.String(200), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcTimestamp, nullable=False),
    sa.Column("locked_until", UtcTimestamp),
)
