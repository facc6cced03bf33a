"""The control page that a machine shows on its own port. Loaded when it first has to be there."""
