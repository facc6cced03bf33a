"""The agent on a machine. Knows the wire, never the hub's inside."""
