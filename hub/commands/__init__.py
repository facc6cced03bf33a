"""Commands to machines: issued, delivered, answered, shown."""
