"""The file of a backup: its manifest, writing it, and reading it without trust in whoever wrote it.

Imports neither process; zstandard, pyrage and PyNaCl only where a file needs them.
"""
