"""Backups of machines: asked for, uploaded, kept, checked, given back."""
