"""Backups of the machine: what is in them, how it is found, sent, and put back."""
