"""The control link to the hub."""
