"""Pages that a machine serves on its own loopback, in an operator's browser: a proxy through a tunnel."""
