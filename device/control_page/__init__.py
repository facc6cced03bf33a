"""The control page that a machine shows on its own port."""
