"""The sockets of browsers."""
