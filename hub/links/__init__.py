"""The machines' links: the socket, its session, one link a machine, key conflicts."""
