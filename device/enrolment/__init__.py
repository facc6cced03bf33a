"""How this machine comes into the fleet of a hub."""
