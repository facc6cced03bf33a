"""The agent on a machine: readings out, commands in, nothing listening. Knows the wire, never the hub's inside."""
