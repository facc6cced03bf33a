"""The object store: bytes under a key, in a folder or in an S3-compatible service."""
