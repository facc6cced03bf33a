"""Samples: taken when due, kept on disk, sent by link or HTTP."""
