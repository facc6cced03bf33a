"""The machines' links: socket, session, registry, key conflicts."""
