"""Recordings of terminals: written, kept, played, deleted."""
