"""The work of one remote session. Nothing of it is loaded before the first session begins."""
