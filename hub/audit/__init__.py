"""The audit log: read, searched, exported, shown."""
