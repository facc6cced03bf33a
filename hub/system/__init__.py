"""How the hub itself is: its load, its database, its room, its own backup."""
