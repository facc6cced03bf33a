"""Files with secrets, read in one place; and the room for the TLS of the fleet, which is an issue of its own."""
