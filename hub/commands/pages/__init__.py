"""The pages of commands: what can be asked of a machine, and what became of it."""
