"""TLS for the fleet: the room is kept for its own issue and is empty on purpose."""
