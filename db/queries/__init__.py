"""Reads, one file a subject. Writes are records (db.engine.row_writes)."""
