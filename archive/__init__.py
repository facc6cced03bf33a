"""The file of a backup: its manifest, writing it, and reading it without trust in whoever wrote it.

Imported by both processes and importing neither; zstandard and pyrage only where a file needs them.
"""
