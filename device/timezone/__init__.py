"""The machine's time zone: looked up, set, verified, reported."""
