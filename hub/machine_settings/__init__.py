"""The settings of machines and of the fleet: written, pushed, reported, shown."""
