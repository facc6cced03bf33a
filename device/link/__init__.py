"""The control link to the hub: opened, served, opened again."""
